package redaction

import (
	"os"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
)

func TestSecretNames(t *testing.T) {
	n := newNames(nil, nil)
	for rule, list := range map[string]string{
		"password": `password Password PASSWORD passWord pass_word passwords password2 password_2 dbpassword db.password
			DB_PASSWORD POSTGRES_PASSWORD PGPASSWORD userPassword masterUserPassword password_hash passwordHash
			PASSWORDhash current-password password_confirmation spring.datasource.password passwordHint
			/prod/db/password secrets/password.txt password_for_user_name password_v2 type_password token_type_password`,
		"passwd":     `passwd PASSWD ftp_passwd passwd_hash`,
		"passphrase": `passphrase passPhrase pass-phrase SSH_PASSPHRASE`,
		"passcode":   `passcode door_passcode`,
		"pwd":        `pwd PWD MYSQL_PWD dbPwd`,
		"secret": `secret SECRET secrets client_secret clientSecret clientsecret CLIENT-SECRET secretValue secret_key
			secretKey secretAccess mySECRETkey webhook_secret totp_secret secret_id secretId key_secret secret_data
			name_secret`,
		"token": `token TOKEN tokens access_token accessToken refreshToken id_token session_token authtoken bearerToken
			csrf-token X-Amz-Security-Token GITHUB_TOKEN botToken token_value tokenHash TOKENhash api_tokens
			input_token developer_token developertoken author_token HF_TOKEN personal_access_token new_token toKen nextPageTokenSecretToken`,
		"credential": `credential credentials Credentials aws_credentials user_credential credentialBlob
			GOOGLE_APPLICATION_CREDENTIALS`,
		"cred":           `cred creds db_creds`,
		"auth":           `auth AUTH Auth basic_auth basicAuth _auth auth_key authHeader authCode oauth oauth2 OAuth httpauth proxy-auth`,
		"authorization":  `Authorization AUTHORIZATION authorization Proxy-Authorization authorization_code authorizationHeader`,
		"authorisation":  `authorisation`,
		"authentication": `authentication Authentication`,
		"bearer":         `bearer Bearer`,
		"cookie":         `cookie Cookie cookies set-cookie Set-Cookie session_cookie sessioncookie cookie_jar`,
		"jwt":            `jwt JWT user_jwt jwtString JWTHeader`,
		"otp":            `otp OTP otp_code`,
		"totp":           `totp totpSeed`,
		"api_key": `api_key apiKey APIKey ApiKey APIkey apikey APIKEY api-key X-Api-Key x-api-key api.key api_keys apiKeys
			OPENAI_API_KEY openaiApiKey openaiapikey stripe_api_key_live api_key_2 apikey2 apiKeyHash apikeys`,
		"private_key":       `private_key privateKey PRIVATE_KEY privatekey rsa_private_key privateKeyPem`,
		"access_key":        `access_key accessKey AWS_SECRET_ACCESS_KEY`,
		"account_key":       `AccountKey service_account_key`,
		"encryption_key":    `encryption_key encryptionKey`,
		"signing_key":       `signing_key signingkey`,
		"session_key":       `session_key`,
		"ssh_key":           `ssh_key SSH_KEY`,
		"role_key":          `SUPABASE_SERVICE_ROLE_KEY`,
		"subscription_key":  `Ocp-Apim-Subscription-Key`,
		"db_pass":           `db_pass DB_PASS dbPass dbpass`,
		"smtp_pass":         `SMTP_PASS`,
		"user_pass":         `user_pass userpass`,
		"connection_string": `connection_string connectionString ConnectionStrings`,
		"backup_code":       `backup_codes`,
		"seed_phrase":       `seed_phrase seedPhrase`,
	} {
		for _, name := range strings.Fields(list) {
			if got := n.rule(name); got != "key:"+rule {
				t.Errorf("%s: rule %q, want %q", name, got, "key:"+rule)
			}
		}
	}
}

func TestOtherNames(t *testing.T) {
	n := newNames(nil, nil)
	for what, list := range map[string]string{
		"author and its kin": `author authors Author authored_by authorId author_name coauthor authority authorities
			authorize authorized authorized_by authorizedBy authorizer authorizing unauthorized authoritative
			authentic authenticate authenticated isAuthenticated mfaAuthenticated authenticator unauthenticated
			WWW-Authenticate authn authz preauthorized`,
		"tokens that are counted": `max_tokens maxTokens max_output_tokens maxOutputTokens total_tokens totalTokens
			input_tokens output_tokens cache_read_input_tokens cache_creation_input_tokens cacheReadInputTokens
			cache_write_tokens prompt_tokens completion_tokens reasoning_tokens cached_tokens audio_tokens
			prompt_tokens_details promptTokensDetails cacheTokensDetails completion_tokens_details
			tokens_used tokensUsed token_count tokenCount tokencount totalTokenCount candidatesTokenCount
			thoughtsTokenCount token_usage accumulated_token_usage token_usages token_limit token_budget
			number_of_tokens num_tokens n_tokens max_new_tokens maxThinkingTokens time_to_first_token
			input_cost_per_token ephemeral_5m_input_tokens token_ids`,
		"tokens of a model or a protocol": `tokenizer custom_tokenizer tokenize tokenized tokenization tokenisation
			bos_token eos_token pad_token progressToken progress_token nextToken next_page_token nextPageToken
			continuationToken`,
		"what describes a secret": `token_type tokenType TokenType token_name secret_name secretName credential_type
			password_policy password_length password_min_length passwordChangedAt password_required token_expires_at
			tokenExpiresIn token_expiry secretArn SecretARN SecretVersionId secretKeyRef secret_rotation_enabled
			private_key_id access_key_id accessKeyId aws_access_key_id api_key_id api_key_name key_id auth_type
			authType AuthenticationMethod auth_method auth_provider auth_provider_x509_cert_url auth_uri token_uri
			token_endpoint token_endpoint_auth_methods_supported iAMDatabaseAuthenticationEnabled oauth_client_id
			oauth_scopes cookie_name cookie_domain cookie_consent cookies_enabled password_file credential_store
			password_type_2 authorization.k8s.io/decision authorization.k8s.io/reason token_issued_by`,
		"keys that open nothing": `key Key keys public_key publicKey ssh_public_key primary_key foreign_key
			partition_key sort_key cache_key idempotency_key object_key s3Key keyboard keyboard_layout keyword keywords
			hotkey monkey turkey key_name keyId attributeKey kms_key old_key new_key api_keyboard data_pi_key`,
		"words that only look alike": `secretary secretaryName secretariat passenger passengers saved_passengers passport
			compass bypass pass passed pass_count FAIL_TO_PASS user_passenger keypass passwordless
			session_id sessionId session cookbook broken stoken_ring_size credentialed credited created_at created
			accredited optimistic potpourri output_path forbearer pinned photo_keen move_to_kennel sacred record`,
		"paths of source code": `src/auth/login.ts lib/services/review_token_store.ex internal/auth/token.go docs/secrets.md
			C:\src\auth\password.py`,
		"the rest": `tool_name action_type resource is_destructive reasons policy_id policy_version score input_digest
			output_bytes cwd command description file_path url name value data type id user username email host port
			permission_mode model temperature`,
	} {
		for _, name := range append(strings.Fields(list), "", " ", "_", "...", "12345", "\xff\xfe", "日本語", "🔑") {
			if got := n.rule(name); got != "" {
				t.Errorf("%s: %s: rule %q, want none", what, name, got)
			}
		}
	}
}

// The Python logger redacted what stood under any name that has one of these in
// it. What it caught rightly is caught here, in whatever way it is written.
func TestCatchesWhatThePythonLoggerCaught(t *testing.T) {
	n := newNames(nil, nil)
	for _, word := range []string{"password", "secret", "token", "api_key", "apikey", "auth", "credential"} {
		title := strings.ToUpper(word[:1]) + word[1:]
		for _, written := range []string{word, strings.ToUpper(word), title} {
			for _, before := range []string{"", "my_", "x-", "db.", "My ", "the_old_", "acme", "ACME_", "a1"} {
				for _, behind := range []string{"", "s", "2", "_value", "-hash", ".prod", "_for_billing", " (live)", "_1"} {
					if name := before + written + behind; n.rule(name) == "" {
						t.Errorf("%q is not redacted", name)
					}
				}
			}
		}
	}
}

func TestNamesOfTheVocabularyAreNoSecrets(t *testing.T) {
	n := newNames(nil, nil)
	check := func(name string) {
		if rule := n.rule(name); rule != "" {
			t.Errorf("%s: %s", name, rule)
		}
	}
	for _, spec := range event.Types() {
		for _, d := range spec.Details {
			check(d.Name)
		}
	}
}

func TestExtraAndAllowedNames(t *testing.T) {
	n := newNames([]string{"pin", "customer number", "Паспорт", "md5", "--"}, []string{"nextAuth", "secret_id", "pin_board", ""})
	for name, want := range map[string]string{
		"pin": "key:pin", "PIN": "key:pin", "card_pin": "key:pin", "cardPin": "key:pin", "pins": "key:pin", "pin2": "key:pin",
		"customer_number": "key:customer_number", "customerNumber": "key:customer_number",
		"customernumber": "key:customer_number", "old-customer-number": "key:customer_number",
		"паспорт": "key:паспорт", "номер_паспорт": "key:паспорт", "md5": "key:md5", "file_md5": "key:md5",
		"pinned": "", "spin": "", "pin_type": "", "customer": "", "number": "", "md": "", "--": "", "": "",
		"nextAuth": "", "NEXT_AUTH": "", "secretId": "", "SECRET-ID": "", "PinBoard": "",
		"my_secret_id": "key:secret", "next_auth_token": "key:token", "password": "key:password",
	} {
		if got := n.rule(name); got != want {
			t.Errorf("%q: rule %q, want %q", name, got, want)
		}
	}
	if got := newNames(nil, nil).rule("pin"); got != "" {
		t.Errorf("extra names leak into other redactors: %q", got)
	}
}

func TestThePageNamesEveryTerm(t *testing.T) {
	page, err := os.ReadFile("../docs/redaction.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, term := range known {
		if name := strings.TrimPrefix(term.rule, "key:"); !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/redaction.md does not name %s", name)
		}
	}
}
