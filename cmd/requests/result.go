package requests

import (
	"context"
	"crypto/rsa"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/request/result"
)

// resultAnswer is the answer of mrelease request result decrypt --json.
type resultAnswer struct {
	Schema string `json:"schema"`
	Folder string `json:"folder"`
	result.Decrypted
}

// resultError is what went wrong with a result.
type resultError struct{ error }

func (e *resultError) Unwrap() error { return e.error }

func (s *shell) resultDecrypt() *cobra.Command {
	var key, folder string
	var limit *int64
	c := &cobra.Command{
		Use:   "decrypt FILE",
		Short: "Decrypt a result into a new folder",
		Long: `decrypt decrypts a result in any of iExec's formats, and writes what the app wrote
into a new folder: all of it, or nothing. Links, names that lead out of the folder or
that are one on some file systems, and archives that share or hide data are refused.
Without --key it is the key of the wallet's address in --folder.

No format shows who wrote a result: what is found is damage, not forgery.

Exit codes: 0 decrypted; 2 no such file, or the folder is there; 16 damaged, for
another key, or refused.`,
		Example: "  mrelease request result decrypt encryptedResults.zip --key .secrets/beneficiary/0x…_key --to result",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if folder == "" {
				return usage.Errorf(c.CommandPath(), "want --to FOLDER, a new one")
			}
			if f, _, err := bounds.Open(args[0]); err != nil { // before a key is looked for
				return &resultError{fmt.Errorf("reading result: %w", err)}
			} else if err := f.Close(); err != nil {
				return &resultError{fmt.Errorf("reading result: %w", err)}
			}
			private, err := s.resultKey(c.Context(), key)
			if err != nil {
				return err
			}
			d, err := result.Unpacking{Folder: folder, Most: *limit}.DecryptFile(c.Context(), args[0], private)
			if err != nil {
				return &resultError{err}
			}
			s.Note("decrypted: %s, %s", d.Format, printable.Count(len(d.Files), "file"))
			for _, f := range d.Files {
				s.Note("  %s  %12d  %s", f.SHA256, f.Size, f.Name)
			}
			return s.answer(resultAnswer{"mrelease.request-result/v1", folder, d}, folder)
		},
	}
	s.flags(c)
	s.folderFlag(c)
	c.Flags().StringVar(&key, "key", "", "private key of the beneficiary, in PEM")
	c.Flags().StringVar(&folder, "to", "", "new folder that the result is written to")
	_ = c.MarkFlagDirname("to")
	limit = limitFlag(c)
	return c
}

// resultKey reads the key that is named, else the wallet's.
func (s *shell) resultKey(ctx context.Context, file string) (*rsa.PrivateKey, error) {
	if file != "" {
		return request.ReadPrivateKey(file)
	}
	cfg, err := s.load()
	if err != nil {
		return nil, err
	}
	owner, err := s.owner(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return request.ReadPrivateKey(request.FilesOf(s.folder, owner).Private)
}
