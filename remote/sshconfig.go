package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kevinburke/ssh_config"

	"github.com/runai-prep/runai-prep/internal/wildcard"
)

// settings are what ~/.ssh/config says of one host: for each keyword the first
// value that applies, for IdentityFile all of them.
//
// A Host pattern is tried against both the address and the name that the
// inventory gives a host, for people write either; HostName counts only where
// the address itself matched, for an address in the inventory wins.
type settings struct {
	hostName, user, proxyJump, hostKeyAlias, identityAgent string
	port                                                   int
	identityFiles, knownHosts                              []string
	identitiesOnly, hashKnownHosts                         bool
	connectTimeout                                         time.Duration
}

// configFile is one parsed file. The library reads lines, quotes and comments;
// Match and Include are ours, because it takes "Match host x exec y" for three
// patterns and fails on a whole file for one line it cannot honour.
type configFile struct {
	path    string
	blocks  []configBlock
	problem error // the file cannot be read as a whole
}

type configBlock struct {
	line     int
	patterns []string // Host
	match    []string // Match, its words
	nodes    []configNode
}

type configNode struct {
	line       int
	key, value string
	includes   []*configFile // Include
}

const maxIncludes = 16 // deep, as in OpenSSH

// config reads the dialer's ssh_config once.
func (d *Dialer) config() *configFile {
	d.configOnce.Do(func() {
		path := d.ConfigFile
		if path == "" {
			path = filepath.Join(homeDir(), ".ssh", "config")
		}
		d.configRead = readConfig(path, 0)
	})
	return d.configRead
}

func readConfig(path string, depth int) *configFile {
	if path == os.DevNull {
		return &configFile{path: path}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return &configFile{path: path, problem: err}
	}
	return parseConfig(path, string(data), depth)
}

const (
	matchPrefix = "runai-prep-match-line-"
	includeKey  = "RunaiPrepInclude"
)

func parseConfig(path, data string, depth int) (file *configFile) {
	file = &configFile{path: path}
	// The library panics on some broken input.
	defer func() {
		if r := recover(); r != nil {
			file.problem = fmt.Errorf("read %s: %v", path, r)
		}
	}()
	lines := strings.Split(strings.ReplaceAll(data, "\r\n", "\n"), "\n")
	matches := make(map[string][]string)
	for i, line := range lines {
		key, rest := cutKeyword(line)
		switch strings.ToLower(key) {
		case "match":
			name := matchPrefix + strconv.Itoa(i+1)
			matches[name] = configWords(rest)
			lines[i] = "Host " + name
		case "include":
			lines[i] = includeKey + " " + rest
		}
	}
	parsed, err := ssh_config.DecodeBytes([]byte(strings.Join(lines, "\n")))
	if err != nil {
		file.problem = fmt.Errorf("read %s: %w", path, err)
		return file
	}
	for n, host := range parsed.Hosts {
		block := configBlock{}
		for _, p := range host.Patterns {
			block.patterns = append(block.patterns, p.String())
		}
		if n == 0 {
			block.patterns = []string{"*"} // what stands before the first Host
		} else if len(block.patterns) == 1 {
			if words, ok := matches[block.patterns[0]]; ok {
				block.line, _ = strconv.Atoi(strings.TrimPrefix(block.patterns[0], matchPrefix))
				block.match, block.patterns = words, nil
			}
		}
		for _, node := range host.Nodes {
			kv, ok := node.(*ssh_config.KV)
			if !ok {
				continue
			}
			item := configNode{line: kv.Pos().Line, key: strings.ToLower(kv.Key), value: kv.Value}
			if kv.Key == includeKey {
				item.includes = readIncludes(kv.Value, depth+1)
			}
			block.nodes = append(block.nodes, item)
		}
		file.blocks = append(file.blocks, block)
	}
	return file
}

func readIncludes(value string, depth int) []*configFile {
	if depth > maxIncludes {
		return []*configFile{{problem: errors.New("Include: nested too deep")}}
	}
	var files []*configFile
	for _, pattern := range configWords(value) {
		pattern = expandHome(pattern)
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(homeDir(), ".ssh", pattern)
		}
		paths, err := filepath.Glob(pattern)
		if err != nil {
			files = append(files, &configFile{path: pattern, problem: fmt.Errorf("Include %s: %w", pattern, err)})
		}
		for _, path := range paths {
			files = append(files, readConfig(path, depth))
		}
	}
	return files
}

// cutKeyword splits a line of ssh_config: "Key value", "Key=value".
func cutKeyword(line string) (key, rest string) {
	line = strings.TrimSpace(line)
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return line, ""
	}
	rest = strings.TrimLeft(line[end:], " \t")
	rest = strings.TrimPrefix(rest, "=")
	return line[:end], strings.TrimSpace(rest)
}

// configWords splits a value at blanks, honouring double quotes.
func configWords(value string) []string {
	var words []string
	var word strings.Builder
	quoted, begun := false, false
	for _, r := range value {
		switch {
		case r == '"':
			quoted, begun = !quoted, true
		case (r == ' ' || r == '\t') && !quoted:
			if begun {
				words = append(words, word.String())
				word.Reset()
			}
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// A lookup collects the settings for one host.
type lookup struct {
	settings
	name, host string // of the inventory
	user       string // explicit; empty: not said
	seen       map[string]bool
}

// settingsFor is what the config says of a host, or why it cannot be honoured.
// name is what the inventory calls the host, host its address there.
func (d *Dialer) settingsFor(name, host, explicitUser string) (settings, error) {
	l := &lookup{name: name, host: host, user: explicitUser, seen: make(map[string]bool)}
	err := l.read(d.config())
	return l.settings, err
}

func (l *lookup) read(file *configFile) error {
	if file.problem != nil {
		return file.problem
	}
	for _, block := range file.blocks {
		byHost, applies := l.matchHost(block.patterns)
		var unclear string
		if block.match != nil {
			byHost, applies, unclear = l.matchCriteria(block.match)
		}
		if !applies {
			continue
		}
		for _, node := range block.nodes {
			if unclear != "" {
				if !matters(node) {
					continue
				}
				return fmt.Errorf("%s:%d: Match %s is not supported, and %s may follow from it", file.path, block.line, unclear, node.key)
			}
			for _, included := range node.includes {
				if err := l.read(included); err != nil {
					return err
				}
			}
			if err := l.set(node, byHost); err != nil {
				return fmt.Errorf("%s:%d: %w", file.path, node.line, err)
			}
		}
	}
	return nil
}

// matchHost reports whether a block's patterns fit the host, and whether its
// address was enough for that.
func (l *lookup) matchHost(patterns []string) (byHost, applies bool) {
	byHost, notHost := matchPatterns(patterns, l.host)
	byName, notName := matchPatterns(patterns, l.name)
	if notHost || notName {
		return false, false
	}
	return byHost, byHost || byName
}

// matchPatterns says whether one fits and whether one excludes.
func matchPatterns(patterns []string, name string) (fits, excluded bool) {
	for _, p := range patterns {
		negated := strings.HasPrefix(p, "!")
		if !wildcard.Match(strings.ToLower(strings.TrimPrefix(p, "!")), strings.ToLower(name)) {
			continue
		}
		if negated {
			return false, true
		}
		fits = true
	}
	return fits, false
}

// matchCriteria decides a Match line where it can; unclear names the criterion
// that only OpenSSH itself could decide.
func (l *lookup) matchCriteria(words []string) (byHost, applies bool, unclear string) {
	byHost = true
	for i := 0; i < len(words); i++ {
		criterion := strings.ToLower(words[i])
		negated := strings.HasPrefix(criterion, "!")
		criterion = strings.TrimPrefix(criterion, "!")
		argument, hasEquals := "", false
		if criterion, argument, hasEquals = strings.Cut(criterion, "="); hasEquals {
			_, argument, _ = strings.Cut(words[i], "=") // as written, not in lower case
		}
		if criterion == "all" {
			continue
		}
		if criterion == "final" || criterion == "canonical" {
			unclear = criterion
			continue
		}
		if !hasEquals {
			if i++; i < len(words) {
				argument = words[i]
			}
		}
		patterns := strings.Split(argument, ",")
		var fits bool
		switch criterion {
		case "host", "originalhost":
			var direct bool
			direct, fits = l.matchHost(patterns)
			byHost = byHost && direct
		case "user":
			current := l.user
			if current == "" {
				current = orElse(l.settings.user, localUser())
			}
			fits, _ = matchPatterns(patterns, current)
		case "localuser":
			fits, _ = matchPatterns(patterns, localUser())
		default:
			unclear = criterion
			continue
		}
		if fits == negated {
			return false, false, ""
		}
	}
	return byHost, true, unclear
}

// matters reports whether a line would change where or how we connect.
func matters(n configNode) bool {
	switch n.key {
	case "hostname", "user", "port", "identityfile", "identitiesonly", "identityagent", "proxyjump", "proxycommand",
		"userknownhostsfile", "hostkeyalias":
		return true
	}
	return n.includes != nil
}

func (l *lookup) set(n configNode, byHost bool) error {
	key, value := n.key, n.value
	if key == "proxycommand" || key == "proxyjump" {
		key = "proxy" // whichever comes first counts
	}
	if key == "identityfile" {
		if !strings.EqualFold(value, "none") {
			l.identityFiles = append(l.identityFiles, value)
		}
		return nil
	}
	if l.seen[key] || key == "hostname" && !byHost {
		return nil
	}
	l.seen[key] = true
	words := configWords(value)
	if len(words) == 0 {
		return nil
	}
	var err error
	switch key {
	case "hostname":
		l.hostName = words[0]
	case "user":
		l.settings.user = words[0]
	case "port":
		l.port, err = strconv.Atoi(words[0])
		if err != nil || l.port < 1 || l.port > 65535 {
			err = fmt.Errorf("Port %s is none", words[0])
		}
	case "proxy":
		if n.key == "proxycommand" {
			if !strings.EqualFold(words[0], "none") {
				err = errors.New("ProxyCommand is not supported: name the bastion in the inventory (ssh { bastion = […] }) or with ProxyJump")
			}
			break
		}
		l.proxyJump = words[0]
	case "userknownhostsfile":
		l.knownHosts = words
	case "hostkeyalias":
		l.hostKeyAlias = words[0]
	case "identitiesonly":
		l.identitiesOnly = strings.EqualFold(words[0], "yes")
	case "identityagent":
		l.identityAgent = words[0]
	case "hashknownhosts":
		l.hashKnownHosts = strings.EqualFold(words[0], "yes")
	case "connecttimeout":
		if s, errNumber := strconv.Atoi(words[0]); errNumber == nil && s > 0 {
			l.connectTimeout = time.Duration(s) * time.Second
		}
	}
	return err
}

// expandTokens replaces the %-tokens and ~ of a value. alias is the name that
// was looked up, host where it leads.
func expandTokens(value, alias, host string, port int, remoteUser string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] != '%' {
			b.WriteByte(value[i])
			continue
		}
		i++
		if i == len(value) {
			return "", fmt.Errorf("%q ends in %%", value)
		}
		switch value[i] {
		case '%':
			b.WriteByte('%')
		case 'h':
			b.WriteString(host)
		case 'n':
			b.WriteString(alias)
		case 'p':
			b.WriteString(strconv.Itoa(port))
		case 'r':
			b.WriteString(remoteUser)
		case 'u':
			b.WriteString(localUser())
		case 'd':
			b.WriteString(homeDir())
		default:
			return "", fmt.Errorf("%%%c in %q is not supported", value[i], value)
		}
	}
	return expandHome(b.String()), nil
}

func expandHome(path string) string {
	if path == "~" {
		return homeDir()
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(homeDir(), rest)
	}
	if rest, ok := strings.CutPrefix(path, "${HOME}"); ok {
		return homeDir() + rest
	}
	return path
}

// homeDir is $HOME, where OpenSSH would ask the user database: under sudo and
// in containers the two differ, and $HOME is what people can see and set.
func homeDir() string {
	if home, err := os.UserHomeDir(); err == nil {
		return home
	}
	if u, err := user.Current(); err == nil {
		return u.HomeDir
	}
	return "/"
}

func localUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}

func orElse(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}
