package detector

import "testing"

func TestChecks(t *testing.T) {
	for _, tt := range []struct {
		name  string
		check func(string) bool
		holds []string
		not   []string
	}{
		{"luhn", luhn, []string{"4111111111111111", "4111 1111 1111 1111", "0", "59"}, []string{"4111111111111112", "58"}},
		{"mod97", mod97, []string{"GB82WEST12345698765432", "DE89 3704 0044 0532 0130 00"}, []string{"GB82WEST12345698765433", "GB82", "DE89 3704 0044 0532 0130 0é"}},
		{"jwtHeader", jwtHeader, []string{"eyJhbGciOiJIUzI1NiJ9.x.y"}, []string{"", "eyJmb28iOiJiYXIifQ.x.y", "eyJhbGciOiI.x", "!.x"}},
		{"basicAuth", basicAuth, []string{"dXNlcjpwYXNz", "dTpwYXNzdw=="}, []string{"", "authentication", "dXNlcg==", "AAE6Ag=="}},
		{"isUUID", isUUID, []string{"01a20ad5-9d8d-7c82-8fe8-c84dd5b5a514", "01A20AD5-9D8D-7C82-8FE8-C84DD5B5A514"}, []string{"", "01a20ad5-9d8d-7c82-8fe8-c84dd5b5a51g", "01a20ad5x9d8d-7c82-8fe8-c84dd5b5a514"}},
		{"isDigest", isDigest, []string{some(32, hexa), some(40, hexa), some(64, hexa), some(128, hexa)}, []string{"", some(41, hexa), some(40, alnum)}},
		{"random", random, []string{some(20, alnum), some(40, b64), "abc." + some(24, alnum)}, []string{
			"get_the_user_by_id_2_and_3_or_4", "aaaaaaaaaaaaaaaa1a1a1a1a", uuid(), some(40, hexa), "2026-11-25T04:54:27.123456Z", "v1.2.3-alpha.4.5.6", "application-2024-config-v2-final",
		}},
		{"literal", literal, []string{"hunter2", "pass", "s3cret"}, []string{"$PASSWORD", "${x}", "<password>", "{{ x }}", "%s", "****", "xxx", "YOUR_PASSWORD", "password", "changeme"}},
		{"hasBody", hasBody, []string{"-----BEGIN PRIVATE KEY-----\n" + some(64, b64)}, []string{"-----BEGIN PRIVATE KEY-----\nshort", "-----BEGIN PRIVATE KEY-----"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, s := range tt.holds {
				if !tt.check(s) {
					t.Errorf("does not hold for %q", s)
				}
			}
			for _, s := range tt.not {
				if tt.check(s) {
					t.Errorf("holds for %q", s)
				}
			}
		})
	}
}

func TestCardNumbers(t *testing.T) {
	s := compiledSet(t, on())
	const card = "4111 1111 1111 1111"
	for _, tt := range []struct{ text, want string }{
		{card + " 12/26", card},
		{"2026-11-25 04:54:27 " + card, card},
		{"12 " + card + " 12", card},
		{"x" + "4111111111111111", ""},
		{"4111111111111111,5555555555554444", "4111111111111111 5555555555554444"},
		{card + " 5555 5555 5555 4444", card + " 5555 5555 5555 4444"},
		{"total 4111111111111111.", "4111111111111111"},
		{"[4111111111111111]", "4111111111111111"},
		{"1764046467123456789", ""},
		{"00000000000000000000000000000000", ""},
	} {
		got := ""
		for _, m := range s.Find(nil, tt.text) {
			if got != "" {
				got += " "
			}
			got += tt.text[m.Start:m.End]
		}
		if got != tt.want {
			t.Errorf("in %q it finds %q, want %q", tt.text, got, tt.want)
		}
	}
	// Wherever it stands: the scan looks at every twelfth byte.
	for before := range 40 {
		text := filler(before) + "4242424242424242"
		if got := s.Find(nil, text); len(got) != 1 || got[0].Start != before {
			t.Errorf("after %d bytes it finds %v", before, got)
		}
	}
}

func filler(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "ab \n"[i%4]
	}
	if n > 0 {
		b[n-1] = ' '
	}
	return string(b)
}
