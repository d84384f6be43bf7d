package apps

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// New returns the app that a pushed image is registered as. Its multiaddr is
// repository:tag, since iExec's workers split a reference at its last colon and
// cannot pull @sha256; the checksum pins the manifest.
func New(owner common.Address, appName string, tag name.Tag, image name.Digest, enclave measure.Enclave) (poco.App, error) {
	digest, err := v1.NewHash(image.DigestStr())
	if err != nil {
		return poco.App{}, fmt.Errorf("reading digest: %w", err)
	}
	return poco.App{
		Owner:     owner,
		Name:      appName,
		Type:      poco.TypeDocker,
		Multiaddr: []byte(Multiaddr(tag.Name())),
		Checksum:  common.HexToHash(digest.Hex),
		MREnclave: []byte(enclave.Value),
	}, nil
}

// Multiaddr writes a reference as iExec's own apps do: Docker Hub's name is
// docker.io there, which workers strip.
func Multiaddr(reference string) string {
	return strings.Replace(reference, name.DefaultRegistry+"/", "docker.io/", 1)
}

// Registration is an app's place on a chain.
type Registration struct {
	App     poco.App
	Address common.Address
	Created bool        // by this call; else it was there before
	Tx      common.Hash // of createApp; zero unless Created
	Block   uint64
}

// SyntheticError refuses a stand-in's measurement on a chain where apps are
// real.
type SyntheticError struct {
	MRENCLAVE measure.MRENCLAVE
	Chain     string
}

func (e *SyntheticError) Error() string {
	return fmt.Sprintf("the measurement was made by a stand-in toolchain and cannot be registered on %s", e.Chain)
}

// Evidence returns the value.
func (e *SyntheticError) Evidence() [][2]string {
	return [][2]string{{"MRENCLAVE", e.MRENCLAVE.String()}, {"mark", "its first bytes are " + measure.SyntheticPrefix}, {"chain", e.Chain + " is no development chain"}}
}

// CheckEnclave refuses a synthetic measurement outside development chains with a
// *SyntheticError.
func CheckEnclave(c poco.Chain, enclave measure.Enclave) error {
	if enclave.IsSynthetic() && !c.IsDevelopment() {
		return &SyntheticError{enclave.MRENCLAVE, c.Name}
	}
	return nil
}

// ConflictError says that the contract at an app's address is not the app.
type ConflictError struct {
	Address common.Address
	Diff    []poco.FieldDiff // A: what is there, B: what was expected
	Chain   string
}

func (e *ConflictError) Error() string {
	var fields []string
	for _, d := range e.Diff {
		fields = append(fields, d.Field)
	}
	return fmt.Sprintf("the app at %s on %s has another %s", e.Address, e.Chain, strings.Join(fields, ", "))
}

// Evidence returns each field that differs.
func (e *ConflictError) Evidence() [][2]string {
	facts := [][2]string{{"where", e.Address.Hex() + " on " + e.Chain}}
	for _, d := range e.Diff {
		facts = append(facts, [2]string{"expected " + d.Field, d.B}, [2]string{"actual " + d.Field, d.A})
	}
	return facts
}

// Register puts an app on a chain. When the app is there already it is used;
// else createApp makes it, which anybody can pay for: it is its owner's in any case. Every
// field is read back in both cases.
//
// Errors: *SyntheticError, *ConflictError (also for an app that was given to
// another owner since), *node.FundsError, *node.FeeError, *node.RevertedError,
// *node.RPCError.
func Register(ctx context.Context, c *node.Client, w node.Wallet, app poco.App, enclave measure.Enclave) (Registration, error) {
	if err := CheckEnclave(c.Chain, enclave); err != nil {
		return Registration{}, err
	}
	reg, err := lookupSettled(ctx, c, w, app)
	for range maxSends {
		var missing *NoAppError
		if !errors.As(err, &missing) {
			return reg, err
		}
		receipt, sendErr := c.Send(ctx, w, registry(c), "createApp", arguments(app)...)
		if sendErr == nil {
			reg, err = Lookup(ctx, c, app)
			reg.Created, reg.Tx, reg.Block = true, receipt.TxHash, receipt.BlockNumber.Uint64()
			return reg, err
		}
		// A parallel run of the same release may have made the same app first;
		// then this transaction fails, and what counts is there. One of another
		// release may have taken the nonce.
		if reg, err = lookupSettled(ctx, c, w, app); err != nil && !node.NonceTaken(sendErr) {
			return Registration{}, fmt.Errorf("creating app: %w", sendErr)
		}
	}
	return reg, err
}

// Confirm makes sure that a registered app is on the chain still, before something is done
// about it that cannot be undone: blocks may have left the chain. What left with them is
// made again, and Tx and Block are those of now. Errors: those of [Register].
func Confirm(ctx context.Context, c *node.Client, w node.Wallet, reg Registration, enclave measure.Enclave) (Registration, error) {
	receipt, err := c.Stands(ctx, reg.Tx)
	if err != nil {
		return Registration{}, err
	}
	again, err := Register(ctx, c, w, reg.App, enclave)
	if err == nil && !again.Created && receipt != nil {
		again.Created, again.Tx, again.Block = true, receipt.TxHash, receipt.BlockNumber.Uint64()
	}
	return again, err
}

// maxSends bounds how often a transaction is sent whose nonce was none.
const maxSends = 5

// lookupSettled is Lookup once the payer's transactions are in blocks: a run
// that was killed, or one that runs in parallel, may have sent the app's.
func lookupSettled(ctx context.Context, c *node.Client, w node.Wallet, app poco.App) (Registration, error) {
	reg, err := Lookup(ctx, c, app)
	var missing *NoAppError
	if !errors.As(err, &missing) {
		return reg, err
	}
	waited, settleErr := c.Settle(ctx, w.Payer().Address)
	if settleErr != nil {
		return Registration{}, settleErr
	}
	if !waited {
		return reg, err
	}
	return Lookup(ctx, c, app)
}

// NoAppError says that an app is not registered.
type NoAppError struct {
	Address common.Address
	Chain   string
}

func (e *NoAppError) Error() string {
	return fmt.Sprintf("no app is registered at %s on %s", e.Address, e.Chain)
}

// Evidence returns where it was looked for.
func (e *NoAppError) Evidence() [][2]string {
	return [][2]string{{"where", e.Address.Hex() + " on " + e.Chain}}
}

// Lookup predicts an app's address and reads back what is there, without
// writing. The address is CREATE2's over all six fields.
//
// Errors: *NoAppError, *ConflictError, *node.RPCError.
func Lookup(ctx context.Context, c *node.Client, app poco.App) (Registration, error) {
	address, err := node.Call[common.Address](ctx, c, registry(c), "predictApp", arguments(app)...)
	if err != nil {
		return Registration{}, err
	}
	there, err := Read(ctx, c, address)
	if err != nil {
		return Registration{App: app, Address: address}, err
	}
	if diff := there.Diff(app); len(diff) > 0 {
		return Registration{}, &ConflictError{address, diff, c.Name}
	}
	return Registration{App: there, Address: address}, nil
}

// Read reads an app's six fields. Its error is a *NoAppError for an address
// that the registry does not know, whatever contract may be there.
func Read(ctx context.Context, c *node.Client, address common.Address) (poco.App, error) {
	known := &node.Question{Contract: registry(c), Method: "isRegistered", Args: []any{address}}
	fields := newFields(address)
	c.Ask(ctx, append([]*node.Question{known}, fields.asked...)...)
	registered, err := node.Answer[bool](known)
	if err != nil {
		return poco.App{}, err
	}
	if !registered { // whatever the contract there answers
		return poco.App{}, &NoAppError{address, c.Name}
	}
	return fields.read()
}

// newFields returns the questions for an app's fields, which are asked in one request, with
// others: a node may be a tenth of a second away, and count what it is asked.
func newFields(address common.Address) *fields {
	f := &fields{of: node.Contract{Address: address, ABI: poco.AppABI()}}
	readField(f, "owner", &f.app.Owner)
	readField(f, "m_appName", &f.app.Name)
	readField(f, "m_appType", &f.app.Type)
	readField(f, "m_appMultiaddr", &f.app.Multiaddr)
	readField(f, "m_appChecksum", &f.app.Checksum)
	readField(f, "m_appMREnclave", &f.app.MREnclave)
	return f
}

// read takes the answers.
func (f *fields) read() (poco.App, error) {
	for _, take := range f.take {
		if err := take(); err != nil {
			return poco.App{}, err
		}
	}
	return f.app, nil
}

// fields are asked for together, and then taken.
type fields struct {
	app   poco.App
	of    node.Contract
	asked []*node.Question
	take  []func() error
}

func readField[T any](f *fields, name string, into *T) {
	q := &node.Question{Contract: f.of, Method: name}
	f.asked = append(f.asked, q)
	f.take = append(f.take, func() (err error) {
		*into, err = node.Answer[T](q)
		return err
	})
}

// arguments are those of createApp and predictApp.
func arguments(app poco.App) []any {
	return []any{app.Owner, app.Name, app.Type, app.Multiaddr, app.Checksum, app.MREnclave}
}

func registry(c *node.Client) node.Contract {
	return node.Contract{Address: c.AppRegistry, ABI: poco.RegistryABI()}
}

// EstimateCreate returns what the transaction that registers an app would cost who pays,
// without making it. The fields of the app that are not known yet may be
// anything of the same length.
func EstimateCreate(ctx context.Context, c *node.Client, payer common.Address, app poco.App) (node.Cost, error) {
	return c.Estimate(ctx, payer, registry(c), "createApp", arguments(app)...)
}
