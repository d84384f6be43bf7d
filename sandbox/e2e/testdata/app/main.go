// Command app is the enclave program of the scripts' images: one static file
// that needs nothing else in its image. Variables choose how it behaves, so that
// a build argument makes each kind of image.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run() (exit int, err error) {
	if len(os.Args) > 1 && os.Args[1] == "seal" {
		return 0, seal(os.Getenv("SEAL"))
	}
	if os.Getenv("SCONE_HASH") != "1" {
		return 0, hello(strings.Join(os.Args[1:], " "), os.Getenv("IEXEC_OUT"))
	}
	return hash(os.Getenv("MODE"))
}

// hello is what the program is for: it greets, and in a run that somebody ordered it
// leaves the greeting as its result.
func hello(whom, out string) error {
	greeting := strings.TrimSpace("hello "+whom) + "\n"
	fmt.Print(greeting)
	if out == "" {
		return nil
	}
	if whom == "fail" {
		return errors.New("the run was told to fail")
	}
	result := filepath.Join(out, "result.txt")
	return errors.Join(
		os.WriteFile(result, []byte(greeting), 0o644),
		os.WriteFile(filepath.Join(out, "computed.json"), fmt.Appendf(nil, `{"deterministic-output-path":%q}`, result), 0o644))
}

// measurement is marked as synthetic; it depends on what a real one depends on
// as well.
func measurement() string {
	sum := sha256.Sum256([]byte("heap " + os.Getenv("SCONE_HEAP")))
	return hex.EncodeToString(append([]byte("SYNTHETIC"), sum[9:]...))
}

// hash is what the program does where an enclave prints its measurement.
func hash(mode string) (exit int, err error) {
	switch mode {
	case "hash":
		fmt.Println(measurement())
	case "nothing":
	case "say":
		return 0, say()
	case "noise":
		fmt.Println("Enclave starts\n" + measurement())
	case "two":
		fmt.Println(measurement() + "\n" + measurement())
	case "hang":
		fmt.Fprintln(os.Stderr, "waiting for a device")
		time.Sleep(time.Hour)
	case "abort":
		fmt.Fprintln(os.Stderr, "no heap")
		return 141, nil
	default:
		return 1, fmt.Errorf("no mode %q", mode)
	}
	return 0, nil
}

// seal states KEY and TAG as build scripts do: in a file, or on standard output.
func seal(kind string) error {
	if err := checkSecret(); err != nil {
		return err
	}
	key, tag := strings.Repeat("ab", 32), strings.Repeat("cd", 16)
	switch kind {
	case "random":
		key, tag = random(32), random(16)
	case "short":
		key = key[1:]
	case "print":
		fmt.Println("MREnclave: " + key + "|" + tag + "|" + measurement())
		return nil
	case "announce":
		fmt.Printf("Application's fingerprint (use this when deploying your app onchain):\n%s|%s|%s\n", key, tag, measurement())
		return nil
	case "none":
		return nil
	case "fail":
		return errors.New("sealing fails")
	case "say":
		if err := say(); err != nil {
			return err
		}
	case "say and fail":
		return errors.Join(say(), errors.New("sealing fails"))
	case "say only":
		return os.WriteFile("/fingerprint.txt", saying(), 0o644)
	}
	text := key + "|" + tag + "|" + measurement()
	if kind == "entrypoint" {
		text += "|/app"
	}
	if err := os.MkdirAll("/conf", 0o755); err != nil {
		return err
	}
	return os.WriteFile("/conf/fingerprint.txt", []byte(text+"\n"), 0o644)
}

// saying is what the image has in a file for the program to say.
func saying() []byte {
	text, err := os.ReadFile("/files/say.txt")
	if err != nil {
		panic(err)
	}
	return text
}

// say prints it on both outputs.
func say() error {
	if _, err := os.Stderr.Write(saying()); err != nil {
		return err
	}
	_, err := os.Stdout.Write(saying())
	return err
}

func random(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// checkSecret prints a build secret if there is one, as careless steps do, and in the
// forms in which others do not see it.
func checkSecret() error {
	secret, err := os.ReadFile("/run/secrets/license")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	secret = bytes.TrimSpace(secret)
	fmt.Printf("license %s, %s, %x, %s\n", secret, base64.StdEncoding.EncodeToString(append([]byte("license: "), secret...)), secret, url.QueryEscape(string(secret)))
	fmt.Fprintln(os.Stderr, base64.URLEncoding.EncodeToString(append(secret, '\n')))
	return err
}
