package cloudtrail

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/ingesttest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// records returns the real records, one on each line.
func records(t testing.TB) []byte {
	t.Helper()
	r, err := ingest.Open("../testdata/cloudtrail.ndjson.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func read(t testing.TB, data []byte) []ingest.Item {
	t.Helper()
	items, err := ingesttest.Read(Read).All(bytes.NewReader(data), ingest.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ingesttest.Check(items, "cloudtrail"); err != nil {
		t.Fatal(err)
	}
	return items
}

func TestRealRecords(t *testing.T) {
	data := records(t)
	items := read(t, data)
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	if len(items) != len(lines) {
		t.Fatalf("%d items of %d lines", len(items), len(lines))
	}
	withError := 0
	for i, line := range lines {
		if err := ingesttest.Lost(line, items[i:i+1]); err != nil {
			t.Errorf("line %d: %v", i+1, err)
		}
		var rec struct{ ErrorCode, EventID, EventSource, EventName string }
		if err := json.Unmarshal(line, &rec); err != nil {
			t.Fatal(err)
		}
		e := items[i].Event
		if e.ActionID != rec.EventID || e.Details["tool_name"] != rec.EventSource+":"+rec.EventName {
			t.Errorf("line %d: %s, %v", i+1, e.ActionID, e.Details["tool_name"])
		}
		if (e.Type == event.ActionExecuted) != (rec.ErrorCode == "") {
			t.Errorf("line %d: %s, but the code is %q", i+1, e.Type, rec.ErrorCode)
		}
		if rec.ErrorCode != "" {
			withError++
		}
		if denied := rec.ErrorCode == "AccessDenied" || rec.ErrorCode == "Client.UnauthorizedOperation"; denied != (e.Type == event.ActionDenied) {
			t.Errorf("line %d: %s, but the code is %q", i+1, e.Type, rec.ErrorCode)
		}
	}
	if withError != 136 {
		t.Errorf("%d records with an error code", withError)
	}
	if err := ingesttest.Read(Read).Again(data, items); err != nil {
		t.Error(err)
	}
	if err := ingesttest.Read(Read).Growing(data, items); err != nil {
		t.Error(err)
	}

	got := ingesttest.Summary(items)
	if *update {
		if err := os.WriteFile("testdata/summary.golden", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/summary.golden")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// A log file as it is delivered, and several of them behind each other, give
// the events that the single records give.
func TestDelivered(t *testing.T) {
	data := bytes.TrimSpace(records(t))
	want := read(t, data)
	lines := bytes.Split(data, []byte("\n"))
	wrap := func(lines [][]byte) string { return `{"Records":[` + string(bytes.Join(lines, []byte(","))) + `]}` }
	for name, text := range map[string]string{
		"one file":  wrap(lines),
		"two files": wrap(lines[:500]) + wrap(lines[500:]),
		"on lines":  wrap(lines[:7]) + "\n" + wrap(lines[7:]) + "\n",
		"indented":  "{\n  \"Records\": [\n    " + string(bytes.Join(lines, []byte(",\n    "))) + "\n  ]\n}\n",
		"an array":  "[" + string(bytes.Join(lines, []byte(",\n"))) + "]",
	} {
		items := read(t, []byte(text))
		if len(items) != len(want) {
			t.Errorf("%s: %d items, want %d", name, len(items), len(want))
			continue
		}
		for i := range want {
			items[i].Line = want[i].Line
		}
		if err := ingesttest.Same(want, items); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDeliveredCutOff(t *testing.T) {
	lines := bytes.Split(records(t), []byte("\n"))
	text := `{"Records":[` + string(bytes.Join(lines[:3], []byte(","))) + `,` + string(lines[3][:100])
	items, err := ingesttest.Read(Read).All(strings.NewReader(text), ingest.Source{Name: "log.json"})
	if err == nil || !strings.Contains(err.Error(), "log.json: line 1: the array of records that begins on line 1 never ends") {
		t.Errorf("error %v", err)
	}
	if len(items) != 4 || !items[2].Mapped || items[3].Mapped || items[3].Event.Details["raw"] != string(lines[3][:100]) {
		t.Errorf("%d items, the last %+v", len(items), items[len(items)-1])
	}
}

func TestRecords(t *testing.T) {
	for _, tt := range []struct{ name, rec, want string }{
		{"call", `{"eventID":"e1","requestID":"r1","eventTime":"2023-07-10T11:42:44Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","recipientAccountId":"1",
			"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::1:user/b","userName":"b","accessKeyId":"AKIA1"},"requestParameters":{"bucketName":"k"}}`,
			`action_executed id=cloudtrail:e1 action_id=e1 correlation_id=r1 timestamp=2023-07-10T11:42:44Z occurred_at=2023-07-10T11:42:44Z agent_id=arn:aws:iam::1:user/b user_id=b session_id= project_id=1 tool_name=s3.amazonaws.com:GetObject resource=k outcome=success`},
		{"temporary credentials", `{"eventID":"e","eventSource":"s","eventName":"n","userIdentity":{"accessKeyId":"ASIA1","principalId":"AROA1:me"}}`,
			`action_executed session_id=ASIA1 agent_id=AROA1:me`},
		{"session without a key", `{"eventID":"e","eventSource":"s","eventName":"n","userIdentity":{"arn":"a","principalId":"AROA1:me","sessionContext":{"sourceIdentity":"maria","attributes":{"creationDate":"x"}}}}`,
			`action_executed session_id=AROA1:me agent_id=a user_id=maria`},
		{"service", `{"eventID":"e","eventSource":"s","eventName":"n","userIdentity":{"type":"AWSService","invokedBy":"ec2.amazonaws.com"},"resources":[{"ARN":"arn:r"},{"ARN":"arn:q"}]}`,
			`action_executed agent_id=ec2.amazonaws.com resource=arn:r`},
		{"failed", `{"eventID":"e","eventSource":"s","eventName":"n","errorCode":"NoSuchTagSet","errorMessage":"none"}`,
			`action_failed outcome=failure error=none error_type=NoSuchTagSet layer=protocol decision=`},
		{"failed without words", `{"eventID":"e","eventSource":"s","eventName":"n","errorCode":"NoSuchTagSet"}`, `action_failed error=NoSuchTagSet`},
		{"denied", `{"eventID":"e","eventSource":"s","eventName":"n","errorCode":"Client.UnauthorizedOperation","errorMessage":"no"}`,
			`action_denied outcome=denied decision=deny decision_source=policy reasons=[no]`},
		{"denied by an exception", `{"eventID":"e","eventSource":"s","eventName":"n","errorCode":"AccessDeniedException"}`, `action_denied reasons=[AccessDeniedException]`},
		{"sign-in refused", `{"eventID":"e","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","errorMessage":"Failed authentication","responseElements":{"ConsoleLogin":"Failure"}}`,
			`action_failed error=Failed authentication error_type=ConsoleLoginFailure`},
		{"no call", `{"eventID":"e","eventType":"AwsCloudTrailInsight","eventTime":"2023-07-10T11:42:44Z"}`, `cloudtrail_record id=cloudtrail:e occurred_at=2023-07-10T11:42:44Z`},
		{"wrong kinds", `{"eventID":7,"eventTime":[],"userIdentity":"root","eventSource":{},"resources":{},"requestParameters":[]}`, `cloudtrail_record action_id=`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var line bytes.Buffer
			if err := json.Compact(&line, []byte(tt.rec)); err != nil {
				t.Fatal(err)
			}
			items := read(t, line.Bytes())
			if err := ingesttest.Compare(items, []string{tt.want}); err != nil {
				t.Error(err)
			}
			if err := ingesttest.Lost(line.Bytes(), items); err != nil {
				t.Error(err)
			}
			if items[0].Mapped != items[0].Event.Type.Registered() {
				t.Errorf("%s: mapped is %v", items[0].Event.Type, items[0].Mapped)
			}
		})
	}
}

func TestDamaged(t *testing.T) {
	good := `{"eventID":"e","eventSource":"s","eventName":"n"}`
	items := read(t, []byte(good+"\n"+good[:15]+"\n[1]\n"+good+"\n\xfe\n"+`{"Records":[`+good+`,7,"x",`+good[:20]+"\n"+good+"]}\n"+good))
	want := []string{
		`action_executed id=cloudtrail:e`, `cloudtrail_record raw=` + good[:15], `cloudtrail_record raw=[1]`,
		`action_executed id=cloudtrail:e#2`, `cloudtrail_record raw_base64=/g==`,
		`action_executed id=cloudtrail:e#3`, `cloudtrail_record raw=7`, `cloudtrail_record raw="x"`, `cloudtrail_record raw=` + good[:20],
		`action_executed id=cloudtrail:e#4`, `action_executed id=cloudtrail:e#5`,
	}
	if err := ingesttest.Compare(items, want); err != nil {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	lines := bytes.Split(bytes.TrimSpace(records(f)), []byte("\n"))
	for n := 0; n < len(lines); n += 100 {
		f.Add(lines[n])
	}
	f.Add([]byte(`{"Records":[` + string(lines[0]) + `,` + string(lines[1]) + `]}`))
	f.Add([]byte(`{"Records":[{"a":"` + "\n" + `"},[{}],1e400]}` + `{"Records":[]}{"Records":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		src := ingest.Source{MaxRecord: 1 << 20, MaxPayload: 20_000}
		items, err := ingesttest.Read(Read).All(bytes.NewReader(data), src)
		if err := ingesttest.Check(items, "cloudtrail"); err != nil {
			t.Fatal(err)
		}
		again, err2 := ingesttest.Read(Read).All(ingesttest.OneByte(bytes.NewReader(data)), src)
		if (err == nil) != (err2 == nil) || len(items) != len(again) {
			t.Fatalf("%d items, %v; then %d, %v", len(items), err, len(again), err2)
		}
		if err := ingesttest.Same(items, again); err != nil {
			t.Fatal(err)
		}
	})
}
