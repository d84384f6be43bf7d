package release

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mrelease/mrelease/approval"
	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/canary"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/rotation"
	"github.com/mrelease/mrelease/settings"
)

// bind says what the release would write, as far as it is known: what is approved, or
// compared with that.
func (r *run) bind(ctx context.Context) (p approval.Plan, err error) {
	app, err := r.app()
	if err != nil {
		return p, err
	}
	s := r.Settings
	p = approval.Plan{
		Version: r.Source.Version,
		Source:  approval.Source{Commit: r.Source.Commit.Hash, Dirty: r.Source.Dirty(), Inputs: r.inputs.String(), Cache: r.cache()},
		Chain:   approval.Chain{Name: r.Chain.Name, ID: strconv.FormatUint(r.Chain.ID, 10), Hub: r.Chain.Hub.Hex(), Apps: r.Chain.AppRegistry.Hex(), Market: redact.Address(r.Market.URL)},
		Image:   approval.Image{Reference: r.tag.Name(), Signer: r.signs(ctx), Layout: string(s.Sign.Layout), Scanner: r.boundScanner(), VEX: r.boundVEX()},
		App:     approval.App{Owner: app.Owner.Hex(), Name: app.Name, Type: app.Type, Multiaddr: string(app.Multiaddr)},
		Order: approval.Order{
			Price: strconv.FormatUint(s.Order.Price, 10), Volume: strconv.FormatUint(s.Order.Volume, 10), Tag: s.Order.Tag.String(),
			DatasetRestrict: s.Order.DatasetRestrict.Hex(), WorkerpoolRestrict: s.Order.WorkerpoolRestrict.Hex(), RequesterRestrict: s.Order.RequesterRestrict.Hex(),
		},
		Writes: r.plan.writes(),
	}
	if p.Image.Services, err = r.services(); err != nil {
		return p, err
	}
	if p.Enclave, err = r.boundEnclave(); err != nil {
		return p, err
	}
	if s.Secret != (settings.Secret{}) {
		p.Secret = redact.Address(r.Chain.SMS)
	}
	if s.Canary.Run {
		if p.Canary, err = r.boundCanary(); err != nil {
			return p, err
		}
	}
	r.bindBuilt(&p, app)
	r.bindKnown(&p)
	sales, err := r.bindRetired(ctx, &p)
	if err != nil {
		return p, err
	}
	if err := r.bindCalls(&p, sales); err != nil {
		return p, err
	}
	if err := r.bindCost(ctx, &p, sales); err != nil {
		return p, err
	}
	return p, p.Seal()
}

// bindBuilt adds what is known once the image is there, and then once it is measured.
func (r *run) bindBuilt(p *approval.Plan, app poco.App) {
	if r.image.Image != nil {
		digest, checksum := r.image.digest.DigestStr(), app.Checksum.Hex()
		p.Image.Digest, p.App.Checksum = &digest, &checksum
	}
	if r.enclave.known {
		measured := ""
		if r.enclave.Format != measure.None {
			measured = r.enclave.MRENCLAVE.String()
		}
		stored := string(app.MREnclave)
		p.Enclave.MRENCLAVE, p.App.MREnclave = &measured, &stored
	}
	if r.image.Image != nil && r.enclave.known {
		address := r.registration.Address.Hex()
		p.App.Address = &address
		if !r.Settings.Wallet.IsSafe() { // whose order names the record
			hash := r.order().Hash(r.Chain.Domain()).Hex()
			p.Order.Hash = &hash
		}
	}
}

// signs says who signs the image: whose key it is, or which identity must be the job's. It
// is nil where the key cannot be read. A key in a key service of which no file has the public
// half is bound by its URI: nobody is asked for it before the plan is compared.
func (r *run) signs(ctx context.Context) *string {
	if s := r.Settings.Sign; s.IsKeyless() {
		identity := s.Keyless.Identity + ", by " + string(s.Keyless.Issuer)
		return &identity
	}
	if k := r.Settings.Sign.KMS(); k.IsSet() && r.Settings.Sign.PublicKey == "" {
		uri := k.String() // whatever key the service has for it
		return &uri
	}
	signer, err := r.checker(ctx)
	if err != nil {
		return nil // it is told as unknown
	}
	who, err := signer.Who()
	if err != nil {
		return nil
	}
	return &who.PublicKey
}

// services says with whose help an identity signs.
func (r *run) services() (string, error) {
	s := r.Settings.Sign
	if !s.IsKeyless() || s.Keyless.Config == settings.PublicServices {
		return string(s.Keyless.Config), nil
	}
	text, err := bounds.ReadFile(string(s.Keyless.Config), bounds.Key)
	if err != nil {
		return "", fmt.Errorf("reading sign.keyless.signing-config: %w", err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(text)), nil
}

// boundEnclave is what the measurement must keep to.
func (r *run) boundEnclave() (approval.Enclave, error) {
	s := r.Settings.Enclave
	e := approval.Enclave{Format: string(s.Format), Trust: string(s.Trust), Debug: s.AllowDebug, Signer: r.sealer()}
	policy, err := s.Policy()
	if err != nil {
		return e, err
	}
	var signers []string
	for _, signer := range policy.Signers {
		signers = append(signers, signer.String())
	}
	slices.Sort(signers)
	e.Signers = strings.Join(signers, " ")
	if r.accepted == nil {
		return e, nil
	}
	if r.accepted.MRENCLAVE != nil {
		e.Accepted = r.accepted.MRENCLAVE.String()
	}
	text, err := r.accepted.Encode()
	e.Lock = fmt.Sprintf("sha256:%x", sha256.Sum256(text))
	return e, err
}

// sealer identifies the key that the seal signs the enclave with: by what is public of it. It
// is nil where the key cannot be read.
func (r *run) sealer() *string {
	var signer string
	if !r.Settings.Enclave.Seals() {
		return &signer
	}
	pem, err := r.Keys.EnclaveKey()
	if err != nil {
		return nil // it is told as unknown
	}
	if pem == nil {
		return &signer
	}
	key, err := sgx.LoadKey(pem)
	if err != nil {
		return nil
	}
	signer = sgx.SignerOf(&key.PublicKey).String()
	return &signer
}

func (r *run) boundCanary() (*approval.Canary, error) {
	c := r.Settings.Canary
	judge, err := canary.Expected{Judge: string(c.Judge)}.JudgeDigest()
	if err != nil {
		return nil, err
	}
	return &approval.Canary{
		Workerpool: c.Workerpool.Hex(), MaxPrice: strconv.FormatUint(c.MaxPrice, 10), Category: strconv.FormatUint(c.Category, 10), Params: c.Params,
		Deposit: c.Deposit, Again: r.CanaryAgain, File: c.File, Digest: string(c.Digest), Judge: string(c.Judge),
		JudgeIs: judge, JudgeTimeout: time.Duration(c.JudgeTimeout).String(), Timeout: time.Duration(c.Timeout).String(),
	}, nil
}

// bindRetired adds the orders that the release takes the place of, now or, with an
// overlap, when it is run again after that; and returns them.
func (r *run) bindRetired(ctx context.Context, p *approval.Plan) ([]rotation.Sale, error) {
	terms := r.Settings.Order
	p.Retire = approval.Retire{How: string(terms.Retire), Overlap: time.Duration(terms.Overlap).String(), Foreign: r.Foreign}
	s := r.plan.Succession
	if terms.Overlap > 0 {
		var err error
		if s, err = r.succeed(ctx, 0); err != nil {
			return nil, err
		}
	}
	sales := slices.SortedFunc(slices.Values(s.Retire), func(a, b rotation.Sale) int { return a.Hash.Cmp(b.Hash) })
	for _, sale := range sales {
		old := approval.OldOrder{Hash: sale.Hash.Hex(), App: sale.Order.App.Hex(), Version: sale.Version()}
		if terms.Retire == orders.RetireClose {
			old.Consumed = sale.Order.Volume.String()
		}
		p.Retire.Orders = append(p.Retire.Orders, old)
	}
	return sales, nil
}

// approved parts orders into those that may be retired and those that may not, since they
// were not on sale when the release was approved.
func (r *run) approved(sales []rotation.Sale) (may, stay []rotation.Sale) {
	for _, sale := range sales {
		if r.Approved == nil || slices.ContainsFunc(r.Approved.Retire.Orders, func(o approval.OldOrder) bool { return o.Hash == sale.Hash.Hex() }) {
			may = append(may, sale)
		} else {
			stay = append(stay, sale)
		}
	}
	return may, stay
}

// bindCalls adds what the transactions call.
func (r *run) bindCalls(p *approval.Plan, sales []rotation.Sale) error {
	if slices.Contains(p.Writes, "app") {
		p.Calls = append(p.Calls, approval.Call{
			To: r.Chain.AppRegistry.Hex(), Function: poco.RegistryABI().Methods["createApp"].Sig,
			Arguments: map[string]*string{
				"owner": &p.App.Owner, "name": &p.App.Name, "type": &p.App.Type, "multiaddr": &p.App.Multiaddr, "checksum": p.App.Checksum, "mrenclave": p.App.MREnclave,
			},
		})
	}
	for _, sale := range sales {
		if r.Settings.Order.Retire != orders.RetireClose || sale.Left.Sign() <= 0 || r.Settings.Wallet.IsSafe() {
			continue
		}
		call, err := r.closing(sale)
		if err != nil {
			return err
		}
		p.Calls = append(p.Calls, call)
	}
	return nil
}

// closing is the call that closes an order, which needs no signature of it. Another one's
// than the owner's has the owner's signature of the operation.
func (r *run) closing(sale rotation.Sale) (approval.Call, error) {
	method, _ := sale.Order.Closing(nil)
	operation := "1 (CLOSE)"
	c := approval.Call{To: r.Chain.Hub.Hex(), Function: poco.HubABI().Methods[method].Sig, Arguments: map[string]*string{"operation": &operation}}
	if r.payer() != r.owner() {
		by := "signature of the operation (EIP-712) by " + r.owner().Hex()
		c.Arguments["sign"] = &by
	}
	encoded, err := json.Marshal(poco.SignedAppOrder{AppOrder: sale.Order.AppOrder})
	var order map[string]string
	if err == nil {
		err = json.Unmarshal(encoded, &order)
	}
	if err != nil {
		return c, fmt.Errorf("encoding order: %w", err)
	}
	for name, value := range order {
		c.Arguments["order."+name] = &value
	}
	return c, nil
}

// Of what is approved the gas has a quarter more than is needed now, and is rounded up,
// so that a plan of the same release has the same hash.
const gasStep = 100_000

// bindCost adds what the calls need at most: of what is approved with a margin, else as it
// is.
func (r *run) bindCost(ctx context.Context, p *approval.Plan, sales []rotation.Sale) error {
	p.Cost = approval.Cost{Payer: r.payer().Hex(), Gas: "0", MaxFeePerGas: "0", Max: "0"}
	if r.Settings.Wallet.IsSafe() {
		sales = nil // it closes them itself
	}
	if len(p.Calls) == 0 && !slices.Contains(p.Writes, "canary") {
		return nil
	}
	retiring, _, err := r.sales().Cost(ctx, r.payer(), r.Settings.Order.Retire, sales)
	if err != nil {
		return err
	}
	fee, err := r.Chain.MaxFee(ctx)
	if err != nil {
		return err
	}
	gas := r.plan.creating.Gas + r.plan.knowing().Gas + retiring.Gas
	if r.Approved == nil {
		gas = (gas + gas/4 + gasStep - 1) / gasStep * gasStep
		if r.Chain.MaxFeePerGas == 0 && fee.Sign() > 0 { // a power of two: fees are another with each block
			fee = new(big.Int).Lsh(big.NewInt(1), uint(new(big.Int).Sub(fee, big.NewInt(1)).BitLen()))
		}
	}
	p.Cost = approval.Cost{Payer: p.Cost.Payer, Gas: strconv.FormatUint(gas, 10), MaxFeePerGas: fee.String(), Max: new(big.Int).Mul(new(big.Int).SetUint64(gas), fee).String()}
	return nil
}
