package request

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/patient"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/outside"
	"github.com/mrelease/mrelease/printable"
)

// Service is the secret service (SMS) of a chain.
type Service struct {
	URL string
	// Tell is told of waits that the service asks for; nil: nobody is.
	Tell func(text string)

	secret string // of which nothing is told, whatever the service repeats
}

// ServiceError says that the secret service refused a request, failed, or did not
// answer.
type ServiceError struct {
	URL     string // scheme and host
	Request string // "POST /secrets/web2"
	Status  int    // of HTTP; 0: no answer
	Message string // the service's words, or the network's
	Err     error  // why there is no answer; nil when the service refused
}

// Error implements error.
func (e *ServiceError) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("the secret service did not answer %s: %s", e.Request, e.Message)
	}
	return fmt.Sprintf("the secret service answered %s with %d", e.Request, e.Status)
}

// Unwrap returns the network's error.
func (e *ServiceError) Unwrap() error { return e.Err }

// Evidence returns the request and the answer.
func (e *ServiceError) Evidence() [][2]string {
	facts := [][2]string{{"request", e.Request}}
	if e.Status != 0 {
		facts = append(facts, [2]string{"status", fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))})
	}
	if e.Message != "" {
		facts = append(facts, [2]string{"message", e.Message})
	}
	return append(facts, [2]string{"where", e.URL})
}

// IsRefusal reports whether the service will answer the same again.
func (e *ServiceError) IsRefusal() bool {
	return e.Status >= 400 && e.Status < 500 && e.Status != http.StatusTooManyRequests
}

// secret names a secret in the service.
type secret struct {
	path, query string
	owner       common.Address
	name        string
}

func web2(owner common.Address, name string) secret {
	query := url.Values{"ownerAddress": {owner.Hex()}, "secretName": {name}}
	return secret{"/secrets/web2", query.Encode(), owner, name}
}

// web3 names the secret of a dataset, its key.
func web3(resource common.Address) secret {
	return secret{path: "/secrets/web3", query: url.Values{"secretAddress": {resource.Hex()}}.Encode(), owner: resource}
}

func requesters(owner common.Address, name string) secret {
	return secret{path: "/requesters/" + owner.Hex() + "/secrets/" + name, owner: owner, name: name}
}

// apps names the one secret of an app, whose owner sets it. What is signed calls it 1.
func apps(app common.Address) secret {
	return secret{path: "/apps/" + app.Hex() + "/secrets", owner: app, name: "1"}
}

// has asks whether there is a secret.
func (s Service) has(ctx context.Context, k secret) (bool, error) {
	status, err := s.do(ctx, http.MethodHead, k, "", "")
	if status == http.StatusNotFound {
		return false, nil
	}
	return status == http.StatusNoContent || status == http.StatusOK, err
}

// set sends a secret, signed by its owner: POST for one that is not there, PUT for
// another value. The status is that of the answer, also with an error.
func (s Service) set(ctx context.Context, w node.Wallet, method string, k secret, value string) (status int, err error) {
	s.secret = value
	signature, err := w.SignText(ctx, challenge(k, value).Bytes())
	if err != nil {
		return 0, err
	}
	return s.do(ctx, method, k, value, hexutil.Encode(signature))
}

// challenge is what is signed; doc.go has it.
func challenge(k secret, value string) common.Hash {
	return crypto.Keccak256Hash(crypto.Keccak256([]byte("IEXEC_SMS_DOMAIN")), k.owner.Bytes(),
		crypto.Keccak256([]byte(k.name)), crypto.Keccak256([]byte(value)))
}

// do makes a request about a secret, the answer to which is its status.
func (s Service) do(ctx context.Context, method string, k secret, value, signature string) (status int, err error) {
	status, _, err = s.exchange(ctx, method, k, value, signature)
	return status, err
}

// exchange makes a request. An answer that is no success is an error too.
func (s Service) exchange(ctx context.Context, method string, k secret, value, signature string) (status int, answer []byte, err error) {
	failed := &ServiceError{URL: redact.URL(s.URL), Request: method + " " + k.path}
	address, err := url.Parse(s.URL)
	if err != nil || address.Host == "" {
		failed.Message = "the service's address is no URL"
		return 0, nil, failed
	}
	if address.Scheme != "https" && !outside.IsInside(ctx, address.Host) {
		failed.Message = "its address does not begin with https://, and is not known as one of this machine or its network: a secret could be read on its way"
		return 0, nil, failed
	}
	address = address.JoinPath(k.path)
	address.RawQuery = strings.Trim(address.RawQuery+"&"+k.query, "&") // which may hold a key for the service
	r, err := http.NewRequestWithContext(ctx, method, address.String(), strings.NewReader(value))
	if err != nil {
		return 0, nil, fmt.Errorf("making request: %w", redact.Error(err))
	}
	if signature != "" {
		r.Header.Set("Authorization", signature)
		r.Header.Set("Content-Type", "text/plain")
	}
	hide := printable.Hider(s.secret).Replace
	client := patient.Client(bounds.Request, outside.Service{Host: address.Host, Most: bounds.SecretAnswer, Stay: true}, func(text string) {
		if s.Tell != nil {
			s.Tell(hide(text))
		}
	})
	resp, err := client.Do(r)
	if err != nil {
		err = redact.Error(err)
		if failed.Message = hide(err.Error()); failed.Message == err.Error() { // else the cause would tell it
			failed.Err = err
		}
		return 0, nil, failed
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		failed.Err, failed.Message = err, err.Error()
		return 0, nil, failed
	}
	if resp.StatusCode/100 == 2 {
		return resp.StatusCode, body, nil
	}
	failed.Status, failed.Message = resp.StatusCode, hide(message(body))
	return resp.StatusCode, nil, failed
}

// message returns what the service says of an error: some routes do, in a list.
func message(body []byte) string {
	var answer struct {
		Error []string `json:"error"`
	}
	if bounds.CheckJSON(body) == nil && json.Unmarshal(body, &answer) == nil {
		return strings.Join(answer.Error, "; ")
	}
	return ""
}
