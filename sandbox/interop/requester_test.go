//go:build interop

package interop

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/sandbox/world"
)

const (
	keyFolder = ".secrets/beneficiary"
	keySecret = "iexec-result-encryption-public-key"
)

// Each version of the command line uses a result key that mrelease made, and decrypts
// results for it as mrelease does; and mrelease uses a key that it made. openssl
// encrypts, as the workers of the formats' times did.
func TestRequester(t *testing.T) {
	t.Parallel()
	w, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules"})
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	bin, err := filepath.Abs("../../bin")
	must(t, err)
	s := &stage{World: w, dir: t.TempDir(), bin: bin}
	for _, e := range editions(s) {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			c := newCLI(t, s, e)
			t.Run("uses ours", c.usesOurKey)
			t.Run("is used", c.keyIsUsed)
		})
	}
}

// request runs mrelease request as an account, and returns its document.
func (c *cli) request(t *testing.T, account int, args ...string) map[string]any {
	t.Helper()
	chain := c.chain
	config := fmt.Sprintf("chain: %s\nchains:\n  %s: {id: %d, rpc: %q, hub: %q, market: %q, sms: %q, fees: %s}\n",
		chain.Name, chain.Name, chain.ID, chain.RPC, chain.Hub, c.Market, c.Secrets, chain.Fees)
	must(t, os.WriteFile(filepath.Join(c.Dir, "requester.yaml"), []byte(config), 0o600))
	run := program{
		name: filepath.Join(c.bin, "mrelease"), dir: c.Dir, env: []string{"MRELEASE_WALLET_PASSWORD=" + walletPassword},
		args: append(append([]string{"request"}, args...), "--json", "--config", "requester.yaml", "--keystore", ".", "--address", address(account)),
	}
	stdout, _ := run.run(t)
	var answer map[string]any
	must(t, json.Unmarshal([]byte(stdout), &answer))
	return answer
}

func (c *cli) usesOurKey(t *testing.T) {
	me := c.requester()
	if made := c.request(t, me, "key", "new"); made["made"] != true {
		t.Errorf("our key: %v", made)
	}
	if c.as(t, me, "result", "check-encryption-key")["isEncryptionKeySet"] != false {
		t.Error("there is a key before one was pushed")
	}
	c.request(t, me, "key", "push")
	if c.as(t, me, "result", "check-encryption-key")["isEncryptionKeySet"] != true {
		t.Error("the command line does not see the key that ours pushed")
	}
	ours, _ := c.Stored.Value("web2", common.HexToAddress(address(me)), keySecret)
	c.as(t, me, "result", "push-encryption-key", "--force-update")
	theirs, _ := c.Stored.Value("web2", common.HexToAddress(address(me)), keySecret)
	if ours == "" || ours != theirs {
		t.Errorf("the command line pushes our key as\n%s\nand ours as\n%s", theirs, ours)
	}

	formats := []string{"ecb", "cbc"}
	if c.version == 5 {
		formats = formats[:1]
	}
	for _, format := range formats {
		plain := c.encrypt(t, me, format)
		c.decryptsOurs(t, me, format)
		got, err := os.ReadFile(filepath.Join(c.Dir, "results.zip"))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: the command line makes %d bytes of %d (%v)", format, len(got), len(plain), err)
		}
		c.decrypts(t, me, format)
	}
	c.encrypt(t, me, "oaep") // which no version here decrypts any more
	c.decrypts(t, me, "oaep")
}

// decryptsOurs lets the command line decrypt a result. Version 5 leaves PKCS #1 v1.5 to
// node, which refuses it since CVE-2023-46809 unless it is asked to take that back.
func (c *cli) decryptsOurs(t *testing.T, account int, format string) {
	t.Helper()
	cmd := c.Command(t.Context(), append([]string{"result", "decrypt", format + ".zip", "--force"}, c.local(account)...)...)
	if c.version == 5 {
		cmd.Args = slices.Insert(cmd.Args, 1, "--security-revert=CVE-2023-46809")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", format, err, out)
	}
}

// keyIsUsed lets ours use a key that the command line made.
func (c *cli) keyIsUsed(t *testing.T) {
	me := c.pool()
	c.call(t, append([]string{"result", "generate-encryption-keypair"}, c.local(me)...)...)
	if read := c.request(t, me, "key", "new"); read["made"] != false {
		t.Errorf("their key: %v", read)
	}
	c.request(t, me, "key", "push")
	public, err := os.ReadFile(filepath.Join(c.Dir, keyFolder, address(me)+"_key.pub"))
	must(t, err)
	stored, _ := c.Stored.Value("web2", common.HexToAddress(address(me)), keySecret)
	if stored != base64.StdEncoding.EncodeToString(public) {
		t.Errorf("ours pushes their key as\n%s\nand it is\n%s", stored, public)
	}
	if check := c.request(t, me, "key", "check"); check["state"] != "noted" {
		t.Errorf("ours tells %v", check)
	}
	for _, format := range []string{"ecb", "cbc", "oaep"} {
		c.encrypt(t, me, format)
		c.decrypts(t, me, format)
	}
}

const computed = `{"deterministic-output-path":"/iexec_out/result.bin"}`

// decrypts lets ours decrypt a result that encrypt made.
func (c *cli) decrypts(t *testing.T, account int, format string) {
	t.Helper()
	to := fmt.Sprintf("%s-%d", format, account)
	c.request(t, account, "result", "decrypt", format+".zip", "--to", to)
	got, err := os.ReadFile(filepath.Join(c.Dir, to, "computed.json"))
	if err != nil || string(got) != computed {
		t.Errorf("%s: ours has %q, %v", format, got, err)
	}
}

// encrypt writes a result for an account's key to FORMAT.zip, and returns what is in it.
func (c *cli) encrypt(t *testing.T, account int, format string) (plain []byte) {
	t.Helper()
	plain = pack(t, [2]string{"result.bin", string(bytes.Repeat([]byte("result "), 1000))}, [2]string{"computed.json", computed})
	must(t, os.WriteFile(filepath.Join(c.Dir, "plain"), plain, 0o600))
	key, iv, padding := []byte("0123456789abcdef0123456789abcdef"), []byte("fedcba9876543210"), "pkcs1"
	cipher := []string{"enc", "-e", "-aes-256-cbc", "-iv", hex.EncodeToString(iv)}
	sealed := key
	switch format {
	case "ecb":
		key = key[:16]
		sealed, cipher = []byte(base64.StdEncoding.EncodeToString(key)), []string{"enc", "-e", "-aes-128-ecb"}
	case "oaep":
		padding = "oaep"
	}
	must(t, os.WriteFile(filepath.Join(c.Dir, "key"), sealed, 0o600))
	c.openssl(t, append(cipher, "-K", hex.EncodeToString(key), "-in", "plain", "-out", "data")...)
	c.openssl(t, "pkeyutl", "-encrypt", "-pubin", "-inkey", filepath.Join(keyFolder, address(account)+"_key.pub"), "-pkeyopt", "rsa_padding_mode:"+padding, "-in", "key", "-out", "sealed")
	data, err := os.ReadFile(filepath.Join(c.Dir, "data"))
	must(t, err)
	sealed, err = os.ReadFile(filepath.Join(c.Dir, "sealed"))
	must(t, err)
	files := [][2]string{{"iexec_out.zip.aes", string(iv) + string(data)}, {"aes-key.rsa", string(sealed)}}
	switch format {
	case "ecb":
		files[0][1], files[1][1] = base64.StdEncoding.EncodeToString(data), base64.StdEncoding.EncodeToString(sealed)
	case "oaep":
		files[0][0], files[1][0] = "iexec_out/result.zip.aes", "iexec_out/encrypted_key"
	}
	must(t, os.WriteFile(filepath.Join(c.Dir, format+".zip"), pack(t, files...), 0o600))
	return plain
}

func (c *cli) openssl(t *testing.T, args ...string) {
	t.Helper()
	program{name: "openssl", args: args, dir: c.Dir}.run(t)
}

func pack(t *testing.T, files ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, file := range files {
		f, err := w.Create(file[0])
		if err == nil {
			_, err = f.Write([]byte(file[1]))
		}
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}
