package kms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/outside"
)

// AWS is a key in AWS KMS: an id, alias/NAME, or the ARN of either. endpoint is the host of
// the service, with the port where it has one; empty: that of the key's region, which an
// ARN names, and else the configuration of AWS. A host that is this machine is spoken to
// without TLS, every other one with it.
func AWS(endpoint, id string) Key {
	return Key{"AWS KMS key " + id, func(ctx context.Context, u use) (service, error) { return connectAWS(ctx, endpoint, id, u) }}
}

// awsKey is a key in AWS KMS. It has the two calls of the client and not the client: the
// linker keeps all methods of what an interface leads to, and the client has sixty.
type awsKey struct {
	getPublicKey func(ctx context.Context, id string) (*kms.GetPublicKeyOutput, error)
	getSignature func(ctx context.Context, id string, hash []byte) (*kms.SignOutput, error)

	used   *used
	region string
	id     string
	use    use
}

// remembering are credentials that are kept as they are given.
type remembering struct {
	aws.CredentialsProvider
	used *used
}

// Retrieve implements [aws.CredentialsProvider].
func (r remembering) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := r.CredentialsProvider.Retrieve(ctx)
	r.used.add(c.SessionToken, c.SecretAccessKey, c.AccessKeyID)
	return c, err
}

// attempts is how often a request is made that AWS throttles or that fails, with waits
// between them that double.
const attempts = 4

func connectAWS(ctx context.Context, endpoint, id string, u use) (*awsKey, error) {
	options := []func(*config.LoadOptions) error{
		config.WithLogger(logging.Nop{}), // it would write to standard error
		config.WithAPIOptions([]func(*middleware.Stack) error{bounded}),
	}
	if named, err := arn.Parse(id); err == nil {
		options = append(options, config.WithRegion(named.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, &refusal{problem: "the configuration of AWS cannot be read: " + brief(err.Error()), advice: "correct ~/.aws/config, or the variables AWS_… of the environment"}
	}
	if cfg.Region == "" {
		return nil, &refusal{problem: "no region is named", advice: "set AWS_REGION, or name the key by its ARN"}
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, &refusal{problem: "there are no credentials: " + brief(redact.Error(err).Error()), advice: "log in to AWS before (aws-actions/configure-aws-credentials does in a job of GitHub), with a role that may kms:GetPublicKey and kms:Sign"}
	}
	var secrets used
	cfg.Credentials = remembering{cfg.Credentials, &secrets}
	client := kms.NewFromConfig(cfg, func(o *kms.Options) {
		o.RetryMaxAttempts = attempts
		o.HTTPClient = &http.Client{Transport: careful{transportOf(cfg.HTTPClient)}}
		if endpoint != "" {
			o.BaseEndpoint = aws.String(schemeOf(endpoint) + "://" + endpoint)
		}
	})
	return &awsKey{
		getPublicKey: func(ctx context.Context, id string) (*kms.GetPublicKeyOutput, error) {
			return client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &id})
		},
		getSignature: func(ctx context.Context, id string, hash []byte) (*kms.SignOutput, error) {
			return client.Sign(ctx, &kms.SignInput{KeyId: &id, Message: hash, MessageType: types.MessageTypeDigest, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
		},
		used: &secrets, region: cfg.Region, id: id, use: u,
	}, nil
}

// transportOf is the transport of a configuration's client, which knows AWS_CA_BUNDLE.
func transportOf(client config.HTTPClient) http.RoundTripper {
	if b, ok := client.(*awshttp.BuildableClient); ok {
		return b.GetTransport()
	}
	return nil
}

// schemeOf is http for this machine itself, where stand-ins of AWS listen.
func schemeOf(endpoint string) string {
	host := endpoint
	if name, _, err := net.SplitHostPort(endpoint); err == nil {
		host = name
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return "http"
	}
	return "https"
}

// careful bounds what a service answers, and follows it nowhere: a request carries a
// session's token.
type careful struct{ base http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (c careful) RoundTrip(r *http.Request) (*http.Response, error) {
	return outside.Transport(outside.Service{Host: outside.First(r).URL.Host, Most: bounds.KeyServiceAnswer, Stay: true, Base: c.base}).RoundTrip(r)
}

// bounded bounds the answers of the services that credentials are from.
func bounded(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("Bounded", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		if resp, ok := out.RawResponse.(*smithyhttp.Response); ok && resp.Body != nil {
			resp.Body = limited{io.LimitReader(resp.Body, bounds.KeyServiceAnswer+1), resp.Body}
		}
		return out, metadata, err
	}), middleware.After)
}

type limited struct {
	io.Reader
	io.Closer
}

func (k *awsKey) publicKey(ctx context.Context) ([]byte, error) {
	out, err := k.getPublicKey(ctx, k.id)
	if err != nil {
		return nil, k.refused("kms:GetPublicKey", err)
	}
	if out.KeySpec != k.use.aws || out.KeyUsage != types.KeyUsageTypeSignVerify {
		return nil, &refusal{
			problem: fmt.Sprintf("it is a key of spec %.40q for %.40q, want %q for %q", out.KeySpec, out.KeyUsage, k.use.aws, types.KeyUsageTypeSignVerify),
			advice:  k.use.awsAdvice(),
		}
	}
	if named := aws.ToString(out.KeyId); arn.IsARN(named) {
		k.id = named // an alias may name another key from now on
	}
	return out.PublicKey, nil
}

func (k *awsKey) sign(ctx context.Context, hash [32]byte) ([]byte, error) {
	out, err := k.getSignature(ctx, k.id, hash[:])
	if err != nil {
		return nil, k.refused("kms:Sign", err)
	}
	return out.Signature, nil
}

func (k *awsKey) hide(text string) string { return k.used.hide(text) }

// refused says what an error of AWS means.
func (k *awsKey) refused(action string, err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return k.silent(action, err)
	}
	r := &refusal{problem: fmt.Sprintf("%s in %s answered %s: %s", action, k.region, brief(api.ErrorCode()), words(api)), err: err}
	switch api.ErrorCode() {
	case "AccessDeniedException":
		r.advice = "allow the role that is logged in kms:GetPublicKey and kms:Sign for this key, by the key's policy or by IAM's"
	case "NotFoundException":
		r.advice = "correct the key's name or the region: an ARN names its own, else AWS_REGION counts"
	case "InvalidArnException":
		r.advice = "correct the key's name: its ARN must be of the region that is asked"
	case "DisabledException":
		r.advice = "enable the key (aws kms enable-key), or name another one"
	case "KMSInvalidStateException":
		r.advice = "look at the key's state (aws kms describe-key): a key that is to be deleted signs nothing until aws kms cancel-key-deletion and enable-key"
	case "InvalidKeyUsageException", "UnsupportedOperationException", "ValidationException":
		r.advice = k.use.awsAdvice()
	case "ThrottlingException", "TooManyRequestsException", "LimitExceededException":
		r.problem += fmt.Sprintf(" (asked %d times)", attempts)
		r.advice = "wait and run the same command again: what is done is found; AWS raises the account's rate of requests on demand"
	case "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException", "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken", "MissingAuthenticationTokenException":
		r.advice = "log in to AWS again: the credentials are not taken, or have run out; the clock of this machine must be right, too"
	case "KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException", "ServiceUnavailableException", "InternalFailure":
		r.problem += fmt.Sprintf(" (asked %d times)", attempts)
		r.advice = "wait and run the same command again: what is done is found"
	}
	return r
}

// words are what AWS says of an error, without the request that it may repeat, with all of
// its headers.
func words(api smithy.APIError) string {
	said := api.ErrorMessage()
	for _, mark := range []string{"The Canonical String", "AWS4-HMAC-SHA256"} {
		said, _, _ = strings.Cut(said, mark)
	}
	return brief(said)
}

// silent is for who did not answer.
func (k *awsKey) silent(action string, err error) error {
	var larger *bounds.Error
	if errors.As(err, &larger) {
		return &refusal{problem: "its answer to " + action + " is too large: " + larger.Error(), advice: "find out what answers in the place of AWS KMS", err: err}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &refusal{problem: fmt.Sprintf("%s in %s did not answer within %s", action, k.region, bounds.KeyService), advice: "wait and run the same command again: what is done is found", err: err}
	}
	var operation *smithy.OperationError
	if errors.As(err, &operation) {
		err = operation.Err
	}
	return &refusal{problem: fmt.Sprintf("%s in %s cannot be reached, or did not answer: %s", action, k.region, brief(redact.Error(err).Error())), advice: "look at the region, at the host that is asked and at the network", err: err}
}
