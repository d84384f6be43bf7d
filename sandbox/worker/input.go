package worker

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
)

// maxInput is how large a file may be that a program is given.
const maxInput = 256 << 20

// fetchData fetches the deal's dataset, decrypts it, and begins the environment of the
// program: the variables of iExec's worker, and the secrets.
func (j *job) fetchData(ctx context.Context) error {
	name := ""
	if d := j.Deal.Dataset.Pointer; d != (common.Address{}) {
		name = d.Hex() // as iExec's worker calls the file
		content, err := j.dataset(ctx)
		if err == nil {
			err = os.WriteFile(filepath.Join(j.in(), name), content, 0o644)
		}
		if err != nil {
			return err
		}
	}
	j.set("IEXEC_TASK_ID", j.ID.Hex())
	j.set("IEXEC_IN", inside)
	j.set("IEXEC_OUT", outside)
	j.set("IEXEC_DATASET_ADDRESS", j.Deal.Dataset.Pointer.Hex())
	j.set("IEXEC_DATASET_FILENAME", name)
	j.set("IEXEC_BOT_SIZE", j.Deal.BotSize.String())
	j.set("IEXEC_BOT_FIRST_INDEX", j.Deal.BotFirst.String())
	j.set("IEXEC_BOT_TASK_INDEX", strconv.FormatUint(j.Index, 10))
	return j.secrets()
}

func (j *job) set(name, value string) { j.environment = append(j.environment, name+"="+value) }

// secrets hands the program those of the app's owner and of the requester. It is the part
// of a session of SCONE's CAS that an attested enclave gets.
func (j *job) secrets() error {
	if !poco.Tag(j.Deal.Tag).Has("tee") {
		return nil
	}
	if value, ok := j.Secret("app", j.Deal.App.Pointer, "1"); ok {
		j.set("IEXEC_APP_DEVELOPER_SECRET", value)
		j.set("IEXEC_APP_DEVELOPER_SECRET_1", value)
	}
	for number, name := range j.params.Secrets {
		value, ok := j.Secret("requester", j.Deal.Requester, name)
		if !ok {
			return fmt.Errorf("the secret service has no secret %q of the requester", name)
		}
		j.set("IEXEC_REQUESTER_SECRET_"+number, value)
	}
	return nil
}

// dataset returns the clear content of the deal's dataset.
func (j *job) dataset(ctx context.Context) ([]byte, error) {
	content, err := j.download(ctx, j.Dataset.Multiaddr)
	if err != nil {
		return nil, fmt.Errorf("downloading dataset: %w", err)
	}
	if got := common.Hash(sha256.Sum256(content)); j.Dataset.Checksum != (common.Hash{}) && got != j.Dataset.Checksum {
		return nil, fmt.Errorf("the dataset's SHA-256 is %s, want %s", got, j.Dataset.Checksum)
	}
	key, ok := j.Secret("web3", j.Deal.Dataset.Pointer, "")
	if !ok {
		return content, nil // it is for everybody
	}
	return decryptDataset(content, key)
}

// decryptDataset decrypts what "iexec dataset encrypt" makes: an IV, and AES-256-CBC with
// a padding as in PKCS #7. The key is in base64.
func decryptDataset(content []byte, key string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(key))
	if err != nil {
		return nil, fmt.Errorf("reading the dataset's key: %w", err)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the dataset's key: %w", err)
	}
	if len(content) < 2*aes.BlockSize || len(content)%aes.BlockSize != 0 {
		return nil, errors.New("decrypting dataset: it is cut off")
	}
	iv, data := content[:aes.BlockSize], content[aes.BlockSize:]
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(data, data)
	pad := int(data[len(data)-1])
	if pad == 0 || pad > aes.BlockSize {
		return nil, errors.New("decrypting dataset: it is encrypted with another key")
	}
	return data[:len(data)-pad], nil
}

// fetchInputs fetches the files that the requester named.
func (j *job) fetchInputs(ctx context.Context) error {
	j.set("IEXEC_INPUT_FILES_NUMBER", strconv.Itoa(len(j.params.InputFiles)))
	j.set("IEXEC_INPUT_FILES_FOLDER", inside)
	for i, at := range j.params.InputFiles {
		u, err := url.Parse(at)
		if err != nil {
			return fmt.Errorf("reading %q: %w", at, err)
		}
		name := path.Base("/" + u.Path)
		if !filepath.IsLocal(name) || name == "." {
			return fmt.Errorf("%s names no file", at)
		}
		content, err := j.download(ctx, at)
		if err == nil {
			err = os.WriteFile(filepath.Join(j.in(), name), content, 0o644)
		}
		if err != nil {
			return fmt.Errorf("downloading %s: %w", at, err)
		}
		j.set("IEXEC_INPUT_FILE_NAME_"+strconv.Itoa(i+1), name)
	}
	return nil
}

// download returns what lies at a URL, or at a path of IPFS in the sandbox's gateway.
func (j *job) download(ctx context.Context, at string) ([]byte, error) {
	if strings.HasPrefix(at, "/ipfs/") {
		content, ok := j.Store.Get(at)
		if !ok {
			return nil, fmt.Errorf("%s is not in the gateway", at)
		}
		return content, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxInput+1))
	if err == nil && len(content) > maxInput {
		err = fmt.Errorf("it is larger than %d bytes", int64(maxInput))
	}
	return content, err
}
