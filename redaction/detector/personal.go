package detector

// personal are the detectors for what is personal rather than secret. They are
// off: an audit trail has to say who did something.
func personal() []Detector {
	return []Detector{
		{
			Name: "email", Doc: "e-mail address", Off: true,
			Pattern: `\b[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b`, candidates: around('@'),
			Examples:        []string{"write to jane.doe+x@mail.example.org.", "<a@example.com>"},
			CounterExamples: []string{"@decorator", "user@localhost"},
		},
		{
			Name: "phone", Doc: "telephone number in international form (E.164)", Off: true,
			Pattern: `^\+[1-9](?:[ .-]?\(?\d{1,4}\)?){2,7}`, candidates: phoneNumbers, Check: phone,
			Examples:        []string{"call +1 202-555-0143", "+442079460958", "tel:+49 (30) 901820"},
			CounterExamples: []string{"1+2", "+12", "x = a +1234567890123456789", "2 + 2"},
		},
		{
			Name: "iban", Doc: "international bank account number (ISO 13616), with its check digits", Off: true,
			Pattern: `\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b`, candidates: whole, Check: mod97,
			Examples:        []string{"DE89 3704 0044 0532 0130 00", "IBAN GB82WEST12345698765432"},
			CounterExamples: []string{"DE89 3704 0044 0532 0130 01", "AB12 3456"},
		},
	}
}

// whole has the pattern see all of the text.
func whole(text string, from int) (start, end int) {
	if from >= len(text) {
		return -1, -1
	}
	return from, len(text)
}

// around returns words in which c stands.
func around(c byte) func(text string, from int) (start, end int) {
	return func(text string, from int) (start, end int) {
		for i := from; i < len(text); i++ {
			if text[i] != c {
				continue
			}
			start, end = i, i+1
			for start > from && (isWord[text[start-1]]) {
				start--
			}
			for end < len(text) && isWord[text[end]] {
				end++
			}
			return start, end
		}
		return -1, -1
	}
}

// phoneNumbers returns what begins with a plus sign and goes on in digits.
func phoneNumbers(text string, from int) (start, end int) {
	for i := from; i+1 < len(text); i++ {
		if text[i] != '+' || !isDigit[text[i+1]] || i > 0 && isName[text[i-1]] {
			continue
		}
		end = i + 1
		for end < len(text) && end < i+40 && (isNumber[text[end]] || text[end] == '(' || text[end] == ')' || text[end] == '.') {
			end++
		}
		return i, end
	}
	return -1, -1
}

// phone reports whether s has the digits of a telephone number.
func phone(s string) bool {
	n := 0
	for i := range len(s) {
		if isDigit[s[i]] {
			n++
		}
	}
	return n >= 8 && n <= 15
}
