package detector

// files are the detectors for passwords in files of configuration, in source code
// and on command lines, told by what stands around them.
func files() []Detector {
	return []Detector{
		{
			Name: "connection-string-password", Doc: "password in a connection string of .NET, ODBC or JDBC",
			Pattern:  `(?i)(?:server|data source|host(?:name)?|address|addr|user ?id|uid|user(?:name)?|database|initial catalog|port|driver|dsn)\s{0,2}=[^;"'\n]{1,100};\s{0,2}(?:[\w ]{1,40}=[^;"'\n]{0,100};\s{0,2}){0,8}(?:password|pwd)\s{0,2}=\s{0,2}([^;"'\s<>]+)`,
			Keywords: []string{"password=", "pwd=", "password =", "pwd ="}, Check: literal,
			Examples:        []string{"Server=db,1433;Database=B2B;User ID=app;Password=hunter2;Trusted_Connection=False", "Driver={ODBC};UID=sa;PWD=hunter2;"},
			CounterExamples: []string{"password=;", "Server=db;Password=${DB_PASSWORD};", "Server=db;Password=***;"},
		},
		{
			Name: "credential-call", Doc: "password given to NetworkCredential or DirectoryEntry of .NET",
			Pattern:  `(?:NetworkCredential|DirectoryEntry)\(\s{0,16}(?:"[^"\n]{1,80}"\s{0,16},\s{0,16}){1,2}"([^"\n]{3,80})"`,
			Keywords: []string{"NetworkCredential(", "DirectoryEntry("}, Check: literal,
			Examples:        []string{`c = new NetworkCredential("app@example.org", "hunter2");`},
			CounterExamples: []string{`new NetworkCredential(user, password)`, `new NetworkCredential("u", "p")`},
		},
		{
			Name: "psexec-password", Doc: "password on the command line of PsExec",
			Pattern: `(?i)psexec(?:64)?(?:\.exe)?\s[^\n]{0,160}?\s-p\s{1,4}([^\s"';|&]{3,})`, Keywords: []string{"psexec"}, Check: literal,
			Examples:        []string{`PsExec.exe \\host -u admin -p hunter2 cmd`},
			CounterExamples: []string{`psexec \\host -u admin -p $Password cmd`, `psexec -s cmd`},
		},
		{
			Name: "curl-password", Doc: "password on the command line of curl",
			Pattern: `curl(?:\.exe)?\s[^|;]{0,200}?\s(?:-u|--user)[ =]{0,2}["']?[^\s:"']{1,100}:([^\s"'|;&]{3,})`, Keywords: []string{" -u ", "\n-u ", "\t-u ", "--user "}, Check: literal,
			Examples:        []string{"curl -s -u app:hunter2 https://example.org", "curl -X POST \\\n--user 'app:hunter2' https://example.org"},
			CounterExamples: []string{"curl -u $USER:$PASSWORD https://example.org", "docker run -u 1000:1000 alpine", "git push -u origin main", "curl -u app: https://example.org"},
		},
		{
			Name: "netrc-password", Doc: "password in .netrc",
			Pattern: `(?i)\bmachine\s{1,8}\S{1,120}\s{1,8}(?:(?:login|account)\s{1,8}\S{1,120}\s{1,8}){0,2}password\s{1,8}"?([^\s"']{3,200})`, Keywords: []string{"machine "}, Check: literal,
			Examples:        []string{"machine example.org login app password hunter2", "machine example.org\n  login app\n  password hunter2\n"},
			CounterExamples: []string{"the machine asks for login and password again", "machine example.org login app password $PASSWORD"},
		},
		{
			Name: "mailrc-password", Doc: "password after the user in the configuration of a mail program",
			Pattern: `(?i)\b(?:user|username|login)[ \t]{1,8}"[^"\n]{1,120}"[ \t\r]{0,4}\n[ \t]{0,8}(?:password|passwd)[ \t]{1,8}"([^"\n$[][^"\n]{2,200})"`, Keywords: []string{`password "`, `passwd "`},
			Examples:        []string{"username \"app@example.org\"\npassword \"hunter2\"\n"},
			CounterExamples: []string{"the password \"hunter2\" was rejected"},
		},
		{
			Name: "php-define", Doc: "password, key or salt that a PHP program defines, as WordPress does",
			Pattern: `define\(\s{0,4}['"][A-Z_]{0,40}(?:PASSWORD|PASS|SECRET|TOKEN|API_KEY|AUTH_KEY|LOGGED_IN_KEY|NONCE_KEY|_SALT)['"]\s{0,4},\s{0,16}'([^'\n]{3,200})'`, Keywords: []string{"define("}, Check: literal,
			Examples:        []string{"define( 'DB_PASSWORD', 'hunter2' );", "define('NONCE_SALT',   'j@cGI PU);AZg');"},
			CounterExamples: []string{"define('AUTH_KEY', 'put your unique phrase here');", "define('DB_PASSWORD', getenv('DB_PASSWORD'));", "define('DB_NAME', 'main');"},
		},
		{
			Name: "xml-password", Doc: "password in an element of XML, as FileZilla writes it",
			Pattern: `(?i)<pass(?:word|wd)?(?:\s[^>\n]{0,80})?>([^<\s]{3,200})</pass`, Keywords: []string{"</pass"}, Check: literal,
			Examples:        []string{"<Pass>hunter22</Pass>", `<Pass encoding="base64">aHVudGVyMjI=</Pass>`},
			CounterExamples: []string{"<password></password>", "<password>${db.password}</password>"},
		},
		{
			Name: "app-setting", Doc: "password, key or token in the application settings of .NET",
			Pattern: `(?i)<add\s{1,4}key\s{0,2}=\s{0,2}"[^"\n]{0,60}(?:password|passwd|pwd|secret|api_?key|access_?key|token)"\s{1,8}value\s{0,2}=\s{0,2}"([^"\n]{3,400})"`, Keywords: []string{"<add "}, Check: literal,
			Examples:        []string{`<add key="MailPassword" value="hunter2"/>`},
			CounterExamples: []string{`<add key="MailPassword" value=""/>`, `<add key="MailPassword" value="#{MailPassword}"/>`, `<add key="PasswordLength" value="12 characters"/>`},
		},
	}
}
