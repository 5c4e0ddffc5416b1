package main

import (
	"io"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"torjournal/cmd/torjournal/internal/daemon"
	"torjournal/control"
	"torjournal/journal"
	"torjournal/tor/controlport"
	"torjournal/tor/scrub"
)

func (p program) runCommand() *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "record a tor, and serve its events on a control port",
		UsageText: "torjournal run [--attach ADDR] [--control ADDR] [--journal FILE]\n\n" +
			"   torjournal run --attach unix:/run/tor/control --control 127.0.0.1:9151",
		Flags: append(journalFlags(),
			&cli.StringSliceFlag{Name: "attach", Usage: "tor's control port, `ADDR`: host:port or unix:PATH; several are tried in turn (default: /run/tor/control, 9051, 9151)"},
			&cli.StringFlag{Name: "attach-password", EnvVars: []string{"TORJOURNAL_ATTACH_PASSWORD"}, Usage: "`PASSWORD` of tor's control port, where it wants one; the environment is not seen by other users, a flag is"},
			&cli.StringFlag{Name: "attach-cookie", Usage: "tor's cookie `FILE`, where it is not the one that tor names"},
			&cli.StringFlag{Name: "source-name", Usage: "what the recorded tor is called in the journal (default: its address)"},
			&cli.StringFlag{Name: "record", Value: "auto", Usage: "what is kept: auto, client, onion, relay, bridge, testnet, all, or `TYPES`"},
			&cli.BoolFlag{Name: "scrub", Usage: "replace targets, addresses, onion names, credentials and bridges by keyed hashes before anything is written or delivered"},
			&cli.StringFlag{Name: "scrub-key", Usage: "`FILE` of the key of --scrub, made if it is not there (default: the journal's name with .scrubkey)"},
			&cli.StringFlag{Name: "max-size", Value: defaultMaxSize, Usage: "`SIZE` the journal may have; the oldest records make room"},
			&cli.DurationFlag{Name: "commit-delay", Usage: "how long a commit waits for more events, `TIME` such as 100ms: fewer and larger writes, for SD cards; events reach controllers as much later (default: not at all)"},
			&cli.StringFlag{Name: "max-age", Value: defaultMaxAge, Usage: "`AGE` at which records are removed, 30d for instance; none; or role: 30d, but 24h on a relay or a bridge"},
			&cli.StringSliceFlag{Name: "control", Usage: "serve a control port at `ADDR`: host:port, port or unix:PATH, and behind it, each after a comma, what holds for it alone: cookie-file=F, hashed-password=H, no-auth, history, group=G, and to encrypt tls-cert=F, tls-key=F and, for certificates of controllers, tls-client-ca=F"},
			&cli.StringFlag{Name: "cookie-file", Usage: "controllers show this existing cookie `FILE`, tor's own for instance, instead of torjournal's"},
			&cli.StringSliceFlag{Name: "hashed-password", Usage: "controllers may show the password of this `HASH` (tor --hash-password prints 16:…)"},
			&cli.BoolFlag{Name: "no-auth", Usage: "controllers need not authenticate (loopback, Unix sockets, and where tls-client-ca asks for certificates)"},
			&cli.BoolFlag{Name: "history", Usage: "who authenticates as to tor, or not at all, may read history too"},
			&cli.StringFlag{Name: "group", Usage: "members of `GROUP` may use the Unix sockets"},
			&cli.StringFlag{Name: "on-source-loss", Value: "close", Usage: "what becomes of controllers when tor ends: `WHAT` is close, as with tor, or keep: they stay, and get 551 for what needs tor (those that use torjournal's own commands always stay)"},
			&cli.StringFlag{Name: "log-format", Value: "auto", Usage: "`FORM` of the daemon's own log: auto, text, json"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "log what is of interest when looking for a fault"},
		),
		Action: p.run,
	}
}

func (p program) run(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("run takes no argument, but there is %q; `torjournal run -h` shows its flags", c.Args().First())
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	cfg, err := p.runConfig(c)
	if err != nil {
		return p.file.place(err)
	}
	cfg.Hangup, cfg.Reread = hangup, p.limitsReader(c, cfg.Logger)
	shortenTurns()
	if err := daemon.Run(c.Context, cfg); err != nil {
		return err
	}
	cfg.Logger.Info("torjournal has ended", "journal", cfg.Journal)
	return nil
}

// maxCommitDelay is the longest --commit-delay: delivery waits as long, and
// controllers expect events within a minute.
const maxCommitDelay = time.Minute

// runConfig checks every flag before anything is opened.
func (p program) runConfig(c *cli.Context) (cfg daemon.Config, err error) {
	cfg = daemon.Config{
		Version: version, Name: c.String("source-name"), Record: c.String("record"), Group: c.String("group"), Heap: daemon.HeapBudget, Manager: daemon.FindManager(),
		Credentials: controlport.Credentials{
			Password: c.String("attach-password"), HasPassword: c.IsSet("attach-password"), CookieFile: c.String("attach-cookie"),
		},
	}
	if cfg.Journal, err = journalPath(c); err != nil {
		return cfg, err
	}
	if cfg.Key, err = keyFile(c); err != nil {
		return cfg, err
	}
	if f, ok := daemon.Credential(); ok && cfg.Key.Path == "" {
		cfg.Key = f
	}
	if cfg.Logger, err = p.logger(c); err != nil {
		return cfg, err
	}
	if _, err := scrub.New(cfg.Record, nil); err != nil {
		return cfg, usagef("--record: %w", err)
	}
	if cfg.Scrub, err = scrubKey(c, cfg.Journal); err != nil {
		return cfg, err
	}
	limits, err := runLimits(c.String)
	if err != nil {
		return cfg, err
	}
	delay := c.Duration("commit-delay")
	if delay < 0 || delay > maxCommitDelay {
		return cfg, usagef("--commit-delay %v: from 0 to %v, such as 100ms", delay, maxCommitDelay)
	}
	cfg.Options = journal.Options{MaxSize: limits.MaxSize, MaxAge: limits.MaxAge, CommitDelay: delay, Logger: cfg.Logger}
	cfg.AgeByRole = limits.AgeByRole
	if cfg.Group != "" {
		if _, err := user.LookupGroup(cfg.Group); err != nil {
			return cfg, usagef("--group: %w", err)
		}
	}
	if cfg.KeepOnLoss, err = keepOnLoss(c.String("on-source-loss")); err != nil {
		return cfg, err
	}
	if cfg.Listeners, err = p.listeners(c, cfg.Journal); err != nil {
		return cfg, err
	}
	warnOfListeners(cfg)
	cfg.Attach, err = attachTo(c.StringSlice("attach"), cfg.Listeners)
	return cfg, err
}

func keepOnLoss(what string) (bool, error) {
	switch what {
	case "close", "keep":
		return what == "keep", nil
	}
	return false, usagef("--on-source-loss %q: there are close and keep", what)
}

// scrubKey returns the file of --scrub's key, "" if nothing is to be scrubbed.
func scrubKey(c *cli.Context, journalFile string) (string, error) {
	file := c.String("scrub-key")
	switch {
	case !c.Bool("scrub") && file != "":
		return "", usagef("--scrub-key %s says with which key, but only --scrub says that there is anything to scrub: give both", file)
	case !c.Bool("scrub"):
		return "", nil
	case file == "":
		return journalFile + ".scrubkey", nil
	}
	return filepath.Abs(file)
}

// attachTo reads --attach. Without it the usual places are tried, but for
// those where torjournal itself is going to listen.
func attachTo(given []string, own []daemon.Listener) (addrs []controlport.Address, err error) {
	ours := map[controlport.Address]bool{}
	for _, l := range own {
		if a, err := controlport.ParseAddress(strings.TrimPrefix(l.Address, ":")); err == nil {
			ours[a] = true
		}
	}
	for _, s := range given {
		a, err := controlport.ParseAddress(s)
		if err != nil {
			return nil, usagef("--attach: %w", err)
		}
		if ours[a] {
			return nil, usagef("--attach %s: torjournal itself is to listen there (--control): give the address of tor's own control port, or --control another one", s)
		}
		addrs = append(addrs, a)
	}
	if len(given) > 0 {
		return addrs, nil
	}
	for _, a := range controlport.UsualPlaces() {
		if !ours[a] {
			addrs = append(addrs, a)
		}
	}
	return addrs, nil
}

// warnOfListeners tells at the start what would else be found out late.
func warnOfListeners(cfg daemon.Config) {
	for _, l := range cfg.Listeners {
		if local, err := control.LocalAddress(l.Address); err == nil && !local && l.Access.TLS.Cert == "" {
			cfg.Logger.Warn("other machines can reach this control port, and what goes over it can be read on the way: listen on 127.0.0.1 if they need not, or encrypt it (tls-cert, tls-key)",
				"address", l.Address)
		}
		if f := l.Access.CookieFile; f != "" {
			if _, err := os.Stat(f); err != nil {
				cfg.Logger.Warn("controllers cannot authenticate until there is a cookie in this file", "error", err)
			}
		}
	}
}

func (p program) listeners(c *cli.Context, journalFile string) (ls []daemon.Listener, err error) {
	def := listenerDefaults{
		ownCookie: journalFile + ".cookie",
		group:     c.String("group"),
		access: control.Access{
			CookieFile: c.String("cookie-file"), HashedPasswords: c.StringSlice("hashed-password"),
			NoAuth: c.Bool("no-auth"), History: c.Bool("history"),
		},
	}
	for _, spec := range c.StringSlice("control") {
		l, err := parseListener(spec, def)
		if err != nil {
			return nil, usagef("%w", err)
		}
		if err := l.Access.Check(l.Address); err != nil {
			return nil, usagef("--control %s: %w", spec, err)
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// logger writes the daemon's own log to standard error: coloured text on a
// terminal, plain text elsewhere, JSON when asked.
func (p program) logger(c *cli.Context) (*slog.Logger, error) {
	level := slog.LevelInfo
	if c.Bool("verbose") {
		level = slog.LevelDebug
	}
	switch form := c.String("log-format"); form {
	case "json":
		return slog.New(slog.NewJSONHandler(p.stderr, &slog.HandlerOptions{Level: level})), nil
	case "auto", "text":
		return slog.New(tint.NewTextHandler(p.stderr, &tint.Options{
			Level: level, TimeFormat: "2006-01-02 15:04:05", NoColor: form == "text" || !isTerminal(p.stderr),
		})), nil
	default:
		return nil, usagef("--log-format %q: there are auto, text and json", form)
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
