// Command app is the enclave program of the scripts' images: one static file
// that needs nothing else in its image. Variables choose how it behaves, so that
// a build argument makes each kind of image.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
		fmt.Println("hello")
		return 0, nil
	}
	return hash(os.Getenv("MODE"))
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
	case "none":
		return nil
	case "fail":
		return errors.New("sealing fails")
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

func random(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// checkSecret prints a build secret if there is one, as careless steps do.
func checkSecret() error {
	secret, err := os.ReadFile("/run/secrets/license")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	fmt.Printf("license %s\n", bytes.TrimSpace(secret))
	return err
}
