package testnet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// recipe is counted up when what a bake makes changes.
const recipe = 1

// bakeAge is how old baked keys may get. A relay replaces its onion keys after
// some two weeks, and the consensus would then name keys it no longer has.
const bakeAge = 7 * 24 * time.Hour

// bakery is what a bake made, as files in the cache.
type bakery struct {
	v3ident     string // of the authority's certificate
	certificate []byte // the authority's, in the form of tor's cached-certs
	signingKey  []byte // PEM, signs consensuses
	authority   identity
	relays      []identity // maxRelays of them
}

// identity is the keys of a relay and what it says of itself.
type identity struct {
	keys        string // folder, to be copied into a data directory
	fingerprint string // 40 upper-case hexadecimal digits
	descriptor  []byte // server descriptor, dir-spec section 2.1
}

// Names inside a bake. Each relay and the authority have a folder with the
// folder keys and the file descriptor.
const (
	authorityName   = "auth0"
	descriptorName  = "descriptor"
	certificateName = "authority_certificate"
	signingKeyName  = "authority_signing_key"
	identityKeyName = "authority_identity_key"
)

func relayName(i int) string { return fmt.Sprintf("relay%02d", i) }

// bakedKeys returns the baked keys, which it bakes if there are none for this
// tor or they are too old. Processes that need them at the same time wait for
// the one that bakes. The keys stay in use for as long as they need to be
// copied, so an old bake is removed only a day after it was replaced.
func bakedKeys(ctx context.Context, opts Options) (*bakery, error) {
	if err := os.MkdirAll(opts.CacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("testnet: make the cache folder: %w", err)
	}
	version, err := exec.CommandContext(ctx, opts.TorPath, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("testnet: %s --version: %w", opts.TorPath, err)
	}
	sum := sha256.Sum256(version)
	prefix := fmt.Sprintf("bake%d-%x-", recipe, sum[:6])
	lock, err := waitLock(ctx, filepath.Join(opts.CacheDir, "lock"))
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if dir := freshBake(opts.CacheDir, prefix, time.Now()); dir != "" {
		if b, err := loadBake(dir); err == nil {
			return b, nil
		}
		// A bake that cannot be read is replaced, as one too old is.
	}
	return newBake(ctx, opts, prefix)
}

// freshBake returns the newest bake that is young enough, or "". The name of a
// bake ends with the time at which it was made.
func freshBake(cache, prefix string, now time.Time) string {
	found, _ := filepath.Glob(filepath.Join(cache, prefix+"*"))
	if len(found) == 0 {
		return ""
	}
	newest := found[len(found)-1] // Glob sorts
	made, err := time.Parse(bakeTime, strings.TrimPrefix(filepath.Base(newest), prefix))
	if err != nil || now.Sub(made) > bakeAge || made.After(now.Add(time.Hour)) {
		return ""
	}
	return newest
}

const bakeTime = "20060102T150405.000"

// newBake bakes into a temporary folder and moves the result into the cache.
func newBake(ctx context.Context, opts Options, prefix string) (*bakery, error) {
	began := time.Now()
	fmt.Fprintf(opts.Log, "testnet: making keys for private networks, kept in %s for a week\n", opts.CacheDir)
	work, unlock, err := makeRunDir()
	if err != nil {
		return nil, err
	}
	defer unlock()
	defer os.RemoveAll(work)
	if err := bake(ctx, opts, work); err != nil {
		return nil, fmt.Errorf("testnet: bake: %w", err)
	}
	dir := filepath.Join(opts.CacheDir, prefix+began.UTC().Format(bakeTime))
	if err := storeBake(dir, work); err != nil {
		return nil, err
	}
	removeOldBakes(opts.CacheDir, dir, began)
	fmt.Fprintf(opts.Log, "testnet: keys made in %.1f s\n", time.Since(began).Seconds())
	return loadBake(dir)
}

// bake makes the keys of the authority and of all relays in work.
func bake(ctx context.Context, opts Options, work string) error {
	names := []string{authorityName}
	for i := range maxRelays {
		names = append(names, relayName(i))
	}
	errs := make([]error, len(names)+1)
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { errs[i] = bakeRelay(ctx, opts, filepath.Join(work, name)) })
	}
	wg.Go(func() { errs[len(names)] = bakeAuthority(ctx, opts, work) })
	wg.Wait()
	return errors.Join(errs...)
}

// bakeRelay starts a relay without network, so that it makes its keys, and
// asks it for its descriptor.
func bakeRelay(ctx context.Context, opts Options, dir string) error {
	node := &Node{Nickname: filepath.Base(dir), Dir: dir, torPath: opts.TorPath}
	node.ControlSocket = filepath.Join(dir, "control")
	node.addLines(privateLines(noAuthority), relayLines(os.DevNull), exitLines(false), []string{
		"TestingTorNetwork 1",
		"DisableNetwork 1",
		"ControlSocket " + node.ControlSocket,
		"ORPort " + loopback(firstPort), // not opened, only told in the descriptor
		"Address 127.0.0.1",
		"SocksPort 0",
	})
	if err := node.prepare(); err != nil {
		return err
	}
	defer node.Kill()
	if err := node.Start(ctx); err != nil {
		return err
	}
	descriptor, err := node.Command(ctx, "GETINFO status/fresh-relay-descs")
	if err != nil {
		return fmt.Errorf("descriptor of %s: %w", node.Nickname, err)
	}
	if err := os.WriteFile(filepath.Join(dir, descriptorName), []byte(descriptor), 0o600); err != nil {
		return err
	}
	return node.Stop(ctx) // keys are on disk once it has ended
}

// noAuthority fills the DirAuthority line of a tor that has no network.
var noAuthority = authority{
	v3ident: strings.Repeat("A", 40), fingerprint: strings.Repeat("A", 40),
	orPort: 9, dirPort: 9,
}

// bakeAuthority makes the keys that sign votes and consensuses. The identity
// key is made under a passphrase, as tor-gencert demands, and not kept.
func bakeAuthority(ctx context.Context, opts Options, dir string) error {
	cmd := exec.CommandContext(ctx, opts.TorGencertPath, "--create-identity-key", "--passphrase-fd", "0", "-m", "12",
		"-i", identityKeyName, "-s", signingKeyName, "-c", certificateName)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader("unused\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("tor-gencert: %w\n%s", err, out)
	}
	return nil
}

// storeBake copies what is needed of a bake into the cache, whole or not at
// all.
func storeBake(dir, work string) error {
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return fmt.Errorf("testnet: store baked keys: %w", err)
	}
	defer os.RemoveAll(tmp)
	names := []string{authorityName}
	for i := range maxRelays {
		names = append(names, relayName(i))
	}
	for _, name := range names {
		if err := copyDir(filepath.Join(tmp, name, "keys"), filepath.Join(work, name, "keys")); err != nil {
			return err
		}
		if err := copyFile(filepath.Join(tmp, name, descriptorName), filepath.Join(work, name, descriptorName)); err != nil {
			return err
		}
	}
	for _, name := range []string{certificateName, signingKeyName} {
		if err := copyFile(filepath.Join(tmp, authorityName, "keys", name), filepath.Join(work, name)); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("testnet: store baked keys: %w", err)
	}
	return nil
}

// removeOldBakes removes bakes that nobody copies any longer.
func removeOldBakes(cache, keep string, now time.Time) {
	found, _ := filepath.Glob(filepath.Join(cache, "bake*"))
	for _, dir := range found {
		info, err := os.Stat(dir)
		if err == nil && dir != keep && now.Sub(info.ModTime()) > 24*time.Hour {
			os.RemoveAll(dir)
		}
	}
}

func loadBake(dir string) (*bakery, error) {
	var err error
	read := func(path ...string) []byte {
		data, e := os.ReadFile(filepath.Join(append([]string{dir}, path...)...))
		err = errors.Join(err, e)
		return data
	}
	ident := func(name string) identity {
		id := identity{keys: filepath.Join(dir, name, "keys"), descriptor: read(name, descriptorName)}
		fp, _ := keyword(id.descriptor, "fingerprint")
		id.fingerprint = strings.ReplaceAll(fp, " ", "")
		if len(id.fingerprint) != 40 {
			err = errors.Join(err, fmt.Errorf("%s has no fingerprint", name))
		}
		return id
	}
	b := &bakery{
		certificate: read(authorityName, "keys", certificateName),
		signingKey:  read(authorityName, "keys", signingKeyName),
		authority:   ident(authorityName),
	}
	b.v3ident, _ = keyword(b.certificate, "fingerprint")
	for i := range maxRelays {
		b.relays = append(b.relays, ident(relayName(i)))
	}
	if err != nil {
		return nil, fmt.Errorf("testnet: read baked keys: %w", err)
	}
	return b, nil
}

// keyword returns the rest of the first line of a directory document that
// begins with that keyword, and what follows the line.
func keyword(doc []byte, name string) (rest string, after []byte) {
	for line := range bytes.Lines(doc) {
		doc = doc[len(line):]
		first, rest, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
		if first == name {
			return rest, doc
		}
	}
	return "", nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("testnet: copy: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("testnet: copy: %w", err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("testnet: copy to %s: %w", to, err)
	}
	return nil
}
