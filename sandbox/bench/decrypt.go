package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// decryptions compares the decryption of a large result.
func decryptions(ctx context.Context, b *bench) ([]row, error) {
	size := int64(100e6)
	if b.short {
		size = 10e6
	}
	r, err := b.newRequester(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.writeResult("large.zip", size); err != nil {
		return nil, err
	}
	var ours, theirs []cost
	for i := range b.runs {
		to := fmt.Sprintf("opened-%d", i)
		_, o, err := timed(r.mrelease(ctx, "result", "decrypt", "large.zip", "--to", to))
		if err != nil {
			return nil, err
		}
		_, t, err := timed(r.iexec.Command(ctx, append([]string{"result", "decrypt", "large.zip", "--force"}, unlocked()...)...))
		if err != nil {
			return nil, err
		}
		ours, theirs = append(ours, o), append(theirs, t)
		if err := os.RemoveAll(filepath.Join(r.iexec.Dir, to)); err != nil {
			return nil, fmt.Errorf("removing result: %w", err)
		}
	}
	times := compare(fmt.Sprintf("decryption of a result of %d MB", size/1e6), ours, theirs).faster(5)
	times.Note = "mrelease unpacks it too, and tells the SHA-256 of each file; iExec's command line 9.0.1 writes the clear archive"
	if b.short {
		times.Note += "; of 100 MB in the full form"
	}
	peak := row{Name: "peak memory of that", Unit: "MB", Ours: values(times.Ours.Peak), Theirs: values(times.Theirs.Peak)}.atMost(64)
	return []row{times, peak}, nil
}

// writeResult writes a result that is encrypted for the requester's key, as iExec's
// post-compute does today. It goes through no large memory: a process begins with the peak
// of the one that starts it.
func (r *requester) writeResult(name string, size int64) (err error) {
	plain, err := os.Create(filepath.Join(r.iexec.Dir, "plain.zip"))
	if err != nil {
		return fmt.Errorf("making result: %w", err)
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	err = writeZip(plain, entry{"result.bin", io.LimitReader(rand.Reader, size)}, entry{"computed.json", strings.NewReader(`{"deterministic-output-path":"/iexec_out/result.bin"}`)})
	if err != nil {
		return err
	}
	key, err := r.publicKey()
	if err != nil {
		return err
	}
	secret, iv := make([]byte, 32), make([]byte, aes.BlockSize) // zeros: nobody is to be kept from it
	//lint:ignore SA1019 the format is that
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, key, secret)
	if err != nil {
		return fmt.Errorf("encrypting result: %w", err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return fmt.Errorf("encrypting result: %w", err)
	}
	length, err := plain.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = plain.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("reading result: %w", err)
	}
	pad := aes.BlockSize - int(length%aes.BlockSize)
	padded := io.MultiReader(plain, bytes.NewReader(bytes.Repeat([]byte{byte(pad)}, pad)))
	packed, err := os.Create(filepath.Join(r.iexec.Dir, name))
	if err != nil {
		return fmt.Errorf("making result: %w", err)
	}
	data := io.MultiReader(bytes.NewReader(iv), encrypting{padded, cipher.NewCBCEncrypter(block, iv)})
	return errors.Join(writeZip(packed, entry{"aes-key.rsa", bytes.NewReader(sealed)}, entry{"iexec_out.zip.aes", data}), packed.Close())
}

// entry is a file of an archive.
type entry struct {
	name    string
	content io.Reader
}

func writeZip(to io.Writer, entries ...entry) error {
	w := zip.NewWriter(to)
	for _, e := range entries {
		f, err := w.CreateHeader(&zip.FileHeader{Name: e.name, Method: zip.Store})
		if err == nil {
			_, err = io.Copy(f, e.content)
		}
		if err != nil {
			return fmt.Errorf("making archive: %w", err)
		}
	}
	return w.Close()
}

// encrypting reads what has whole blocks.
type encrypting struct {
	from io.Reader
	mode cipher.BlockMode
}

// Read implements [io.Reader].
func (e encrypting) Read(p []byte) (int, error) {
	n, err := io.ReadFull(e.from, p[:len(p)/aes.BlockSize*aes.BlockSize])
	e.mode.CryptBlocks(p[:n], p[:n])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // the next call says that it is the end
	}
	return n, err
}

func (r *requester) publicKey() (*rsa.PublicKey, error) {
	text, err := os.ReadFile(filepath.Join(r.iexec.Dir, ".secrets", "beneficiary", r.address+"_key.pub"))
	if err != nil {
		return nil, fmt.Errorf("reading result key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("reading result key: it is no PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading result key: %w", err)
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("reading result key: it is a %T", key)
	}
	return public, nil
}
