package connect

import "fmt"

// OpenAIAgents is the OpenAI Agents SDK. It has no settings: a program that uses it says
// where its traces go.
const OpenAIAgents = "openai-agents"

// Program returns what a program in Python that uses the OpenAI Agents SDK needs, so that
// its traces go to URL as well.
func Program(o *Options) string {
	imports, key := "", `"none",  # without a key it exports nothing`
	if o.Token {
		imports, key = "import os\n\n", `os.environ["CUSTODY_TOKEN"],`
	}
	return fmt.Sprintf(`%sfrom agents import add_trace_processor
from agents.tracing.processors import BackendSpanExporter, BatchTraceProcessor

add_trace_processor(BatchTraceProcessor(BackendSpanExporter(
    api_key=%s
    endpoint=%s,
)))
`, imports, key, tomlString(o.URL)) // which Python reads as TOML does
}
