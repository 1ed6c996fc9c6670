package detector

// models are the detectors for providers of language models and what agents use
// with them.
func models() []Detector {
	return []Detector{
		{
			Name: "openai-api-key", Doc: "OpenAI API key",
			Pattern: `sk-(?:proj|svcacct|admin|None)-[\w-]{40,}|sk-[A-Za-z0-9]{16,24}T3BlbkFJ[A-Za-z0-9]{16,24}`, Keywords: []string{"sk-"}, Where: Token, Check: mixed,
			Examples:        []string{fake("sk-proj-", some(74, b64url), "T3Blbk", "FJ", some(74, b64url)), fake("sk-", some(20, alnum), "T3Blbk", "FJ", some(20, alnum)), fake("OPENAI_API_KEY=sk-svcacct-", some(60, alnum))},
			CounterExamples: []string{"sk-proj-short", "task-proj-" + some(60, lowers), "sk-learn-pipelines-and-other-long-names"},
		},
		{
			Name: "anthropic-api-key", Doc: "Anthropic API key or OAuth token",
			Pattern: `sk-ant-[a-z]{2,8}\d\d-[\w-]{60,}`, Keywords: []string{"sk-ant-"}, Where: Token,
			Examples:        []string{fake("sk-ant-", "api03-", some(93, b64url), "AA"), fake("sk-ant-", "oat01-", some(95, b64url))},
			CounterExamples: []string{"sk-ant-api03-xxxx"},
		},
		{
			Name: "openrouter-api-key", Doc: "OpenRouter API key",
			Pattern: `sk-or-v1-[a-f0-9]{64}`, Keywords: []string{"sk-or-v1-"}, Where: Token,
			Examples:        []string{fake("sk-or-", "v1-", some(64, hexa))},
			CounterExamples: []string{"sk-or-v1-" + some(20, hexa)},
		},
		{
			Name: "langfuse-secret-key", Doc: "Langfuse secret key",
			Pattern: `sk-lf-` + uuidForm, Keywords: []string{"sk-lf-"}, Where: Token,
			Examples:        []string{fake("sk-lf-", uuid())},
			CounterExamples: []string{"pk-lf-" + uuid()},
		},
		{
			Name: "sk-api-key", Doc: "API key of the form that DeepSeek, Moonshot, Stability AI and others share",
			Pattern: `sk-(?:[a-f0-9]{32}|[A-Za-z0-9]{40,64})`, Keywords: []string{"sk-"}, Where: Token, Check: mixed,
			Examples:        []string{fake("sk-", some(32, hexa)), fake("sk-", some(48, alnum))},
			CounterExamples: []string{"sk-" + some(20, hexa), "sk-" + some(48, lowers)},
		},
		{
			Name: "groq-api-key", Doc: "Groq API key",
			Pattern: `gsk_[A-Za-z0-9]{52}`, Where: Token,
			Examples:        []string{fake("gsk_", some(52, alnum))},
			CounterExamples: []string{"gsk_abc123", "gsk_" + some(60, alnum)},
		},
		{
			Name: "replicate-token", Doc: "Replicate API token",
			Pattern: `r8_[A-Za-z0-9]{37}`, Where: Token,
			Examples:        []string{fake("r8_", some(37, alnum))},
			CounterExamples: []string{"r8_" + some(12, alnum)},
		},
		{
			Name: "xai-api-key", Doc: "xAI API key",
			Pattern: `xai-[A-Za-z0-9_]{70,90}`, Where: Token,
			Examples:        []string{fake("xai-", some(80, alnum))},
			CounterExamples: []string{"xai-" + some(20, alnum)},
		},
		{
			Name: "perplexity-api-key", Doc: "Perplexity API key",
			Pattern: `pplx-[A-Za-z0-9]{48,56}`, Where: Token,
			Examples:        []string{fake("pplx-", some(48, alnum))},
			CounterExamples: []string{"pplx-7b-online", "pplx-" + some(20, alnum)},
		},
		{
			Name: "huggingface-token", Doc: "Hugging Face user or organisation token",
			Pattern: `(?:hf|api_org)_[A-Za-z]{34}`, Keywords: []string{"hf_", "api_org_"}, Where: Token,
			Examples:        []string{fake("hf_", some(34, letters)), fake("api_org_", some(34, letters))},
			CounterExamples: []string{"hf_abc", "hf_" + some(34, digits), "hf_" + some(35, letters), "hf_hub_download"},
		},
		{
			Name: "langsmith-api-key", Doc: "LangSmith API key",
			Pattern: `lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}|ls__[a-f0-9]{32}`, Keywords: []string{"lsv2_pt_", "lsv2_sk_", "ls__"}, Where: Token,
			Examples:        []string{fake("lsv2_pt_", some(32, hexa), "_", some(10, hexa))},
			CounterExamples: []string{"lsv2_pt_" + some(32, hexa)},
		},
		{
			Name: "together-api-key", Doc: "Together AI API key",
			Pattern: `tgp_v1_[\w-]{43}`, Where: Token,
			Examples:        []string{fake("tgp_v1_", some(43, b64url))},
			CounterExamples: []string{"tgp_v1_" + some(12, alnum)},
		},
		{
			Name: "fireworks-api-key", Doc: "Fireworks AI API key",
			Pattern: `fw_[A-Za-z0-9]{22,24}`, Where: Token, Check: all(mixed, random),
			Examples:        []string{fake("fw_", some(24, alnum))},
			CounterExamples: []string{"fw_" + some(10, alnum), "fw_" + some(24, lowers)},
		},
		{
			Name: "nvidia-api-key", Doc: "NVIDIA API key",
			Pattern: `nvapi-[\w-]{60,70}`, Where: Token,
			Examples:        []string{fake("nvapi-", some(64, b64url))},
			CounterExamples: []string{"nvapi-" + some(20, alnum)},
		},
		{
			Name: "cerebras-api-key", Doc: "Cerebras API key",
			Pattern: `csk-[a-z0-9]{48}`, Where: Token, Check: mixed,
			Examples:        []string{fake("csk-", some(48, lower36))},
			CounterExamples: []string{"csk-" + some(20, lower36)},
		},
		{
			Name: "elevenlabs-api-key", Doc: "ElevenLabs API key",
			Pattern: `sk_[a-f0-9]{48}`, Keywords: []string{"sk_"}, Where: Token,
			Examples:        []string{fake("sk_", some(48, hexa))},
			CounterExamples: []string{"sk_" + some(20, hexa)},
		},
		{
			Name: "tavily-api-key", Doc: "Tavily API key",
			Pattern: `tvly-(?:dev-|prod-)?[A-Za-z0-9]{32}`, Keywords: []string{"tvly-"}, Where: Token,
			Examples:        []string{fake("tvly-", some(32, alnum)), fake("tvly-dev-", some(32, alnum))},
			CounterExamples: []string{"tvly-" + some(12, alnum)},
		},
		{
			Name: "firecrawl-api-key", Doc: "Firecrawl API key",
			Pattern: `fc-[a-f0-9]{32}`, Where: Token,
			Examples:        []string{fake("fc-", some(32, hexa))},
			CounterExamples: []string{"fc-" + some(20, hexa)},
		},
		{
			Name: "jina-api-key", Doc: "Jina AI API key",
			Pattern: `jina_[a-f0-9]{32}[\w-]{28}`, Where: Token,
			Examples:        []string{fake("jina_", some(32, hexa), some(28, alnum))},
			CounterExamples: []string{"jina_" + some(32, hexa)},
		},
		{
			Name: "kagi-api-key", Doc: "Kagi API key or session token, after its name",
			Pattern: `(?i)kagi[\w.-]{0,30}[^\n]{0,40}?(?:[=:"']|\s)([\w-]{11}\.[\w-]{43})\b`, Keywords: []string{"kagi"}, Where: After, Check: mixed,
			Examples:        []string{fake("KAGI_API_KEY='", some(11, b64url), ".", some(43, alnum), "'"), fake("https://kagi.com/search?token=", some(11, alnum), ".", some(43, alnum))},
			CounterExamples: []string{"https://kagi.com/search?q=hello"},
		},
		{
			Name: "pinecone-api-key", Doc: "Pinecone API key",
			Pattern: `pcsk_[A-Za-z0-9]{4,8}_[A-Za-z0-9]{50,70}`, Keywords: []string{"pcsk_"}, Where: Token,
			Examples:        []string{fake("pcsk_", some(6, alnum), "_", some(63, alnum))},
			CounterExamples: []string{"pcsk_" + some(20, alnum)},
		},
		{
			Name: "e2b-api-key", Doc: "E2B API key",
			Pattern: `e2b_[a-f0-9]{40}`, Where: Token,
			Examples:        []string{fake("e2b_", some(40, hexa))},
			CounterExamples: []string{"e2b_" + some(12, hexa)},
		},
		{
			Name: "wandb-api-key", Doc: "Weights & Biases API key, after its name",
			Pattern: `(?i)(?:wandb|weights_and_biases)[\w. -]{0,20}(?:key|token|login)` + to + `([a-f0-9]{40})` + end, Keywords: []string{"wandb"}, Where: After,
			Examples:        []string{fake("WANDB_API_KEY=", some(40, hexa)), fake("wandb login ", some(40, hexa))},
			CounterExamples: []string{"wandb run at commit " + some(40, hexa)},
		},
		{
			Name: "mistral-api-key", Doc: "Mistral API key, after its name",
			Pattern: `(?i)mistral[\w.-]{0,20}(?:key|token)` + to + `([A-Za-z0-9]{32})` + end, Keywords: []string{"mistral"}, Where: After, Check: mixed,
			Examples:        []string{fake("MISTRAL_API_KEY=", some(32, alnum))},
			CounterExamples: []string{"mistral-large-latest", "MISTRAL_API_KEY=" + some(32, letters)},
		},
		{
			Name: "cohere-api-key", Doc: "Cohere API key, after its name",
			Pattern: `(?i)(?:cohere|co_api)[\w.-]{0,20}(?:key|token)` + to + `([A-Za-z0-9]{40})` + end, Keywords: []string{"cohere", "co_api_key"}, Where: After, Check: mixed,
			Examples:        []string{fake("COHERE_API_KEY: ", some(40, alnum)), fake("CO_API_KEY=", some(40, alnum))},
			CounterExamples: []string{"coherent key: " + some(40, digits)},
		},
	}
}
