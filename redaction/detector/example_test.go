package detector_test

import (
	"fmt"

	"github.com/custodylog/custody/redaction/detector"
)

func Example() {
	set, err := detector.Compile([]detector.Detector{
		{Name: "badge", Doc: "number of a badge", Pattern: `badge no\. (\d{6})\b`},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	text := "Opened by badge no. 004217, then by badge no. 000981."
	for _, m := range set.Find(nil, text) {
		fmt.Println(m.Detector, text[m.Start:m.End])
	}
	// Output:
	// badge 004217
	// badge 000981
}
