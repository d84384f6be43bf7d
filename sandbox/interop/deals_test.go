//go:build interop

package interop

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/sandbox/workerpool"
	"github.com/mrelease/mrelease/sandbox/world"
)

// Each version of the command line shows a deal that ours bought, and its tasks, as ours
// does.
func TestDeals(t *testing.T) {
	t.Parallel()
	w, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules", Pool: &world.Pool{Work: workerpool.Unread}})
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	bin, err := filepath.Abs("../../bin")
	must(t, err)
	s := &stage{World: w, dir: t.TempDir(), bin: bin}
	must(t, s.V6.Grant(t.Context(), common.HexToAddress(address(3))))
	must(t, s.V5.Grant(t.Context(), common.HexToAddress(address(3))))
	for _, e := range editions(s) {
		t.Run(e.name, func(t *testing.T) { newCLI(t, s, e).showsDeal(t) })
	}
}

// openWallet opens the wallet of an account.
func openWallet(t *testing.T, account int) node.Wallet {
	t.Helper()
	w, err := node.ParseKey(hex.EncodeToString(crypto.FromECDSA(world.Key(account))))
	must(t, err)
	return w
}

// buys makes a deal of two runs, and waits for its tasks.
func (c *cli) buys(t *testing.T) (deal.Deal, []deal.Task) {
	t.Helper()
	ctx := t.Context()
	client, err := node.Connect(ctx, poco.Chain{Name: c.chain.Name, ID: c.chain.ID, RPC: c.chain.RPC, Hub: c.chain.Hub, Fees: c.chain.Fees, Development: true})
	must(t, err)
	owner, requester := openWallet(t, 1), openWallet(t, 3)
	app := poco.App{Owner: owner.Address, Name: "shown to " + c.name, Type: poco.TypeDocker, Multiaddr: []byte("registry.example/app:1.0.0"), Checksum: common.HexToHash("0x01")}
	made, err := apps.Register(ctx, client, owner, app, measure.Enclave{})
	must(t, err)
	trade := deal.Trade{Chain: client, Market: market.Client{URL: c.Market, ChainID: c.chain.ID}}
	_, err = orders.Offer(ctx, client, trade.Market, owner, orders.New(client.Domain(), made.Address, orders.Terms{Price: 4, Volume: 9, Tag: poco.TEE()}))
	must(t, err)
	order, err := request.SignOrder(ctx, requester, client.Domain(), poco.RequestOrder{
		App: made.Address, AppMaxPrice: big.NewInt(10), DatasetMaxPrice: new(big.Int), WorkerpoolMaxPrice: big.NewInt(100),
		Requester: requester.Address, Beneficiary: common.HexToAddress(address(5)), Volume: big.NewInt(2), Tag: poco.TEE(),
		Category: new(big.Int), Trust: new(big.Int), Params: `{"iexec_args":"two words"}`,
	})
	must(t, err)
	must(t, request.WriteOrder(filepath.Join(c.Dir, "shown.json"), client.Domain(), order))
	d, _, err := trade.Buy(ctx, requester, order, deal.Buying{Deposit: true})
	must(t, err)
	tasks, err := deal.Follow(ctx, client, d, deal.Following{Every: 50 * time.Millisecond})
	must(t, err)
	return d, tasks
}

// shownDeal is what all versions show of a deal, as text.
type shownDeal struct {
	Dealid, Category, Tag, Requester, Beneficiary, Callback, Params string
	StartTime, FinalTime, BotFirst, BotSize                         string
	App, Dataset, Workerpool                                        shownResource
}

type shownResource struct{ Pointer, Owner, Price string }

// shownTask is likewise a task.
type shownTask struct {
	Taskid, Dealid, Idx, FinalDeadline, ResultDigest, StatusName string
	Results                                                      deal.Location
}

// texts is a list, which version 5 writes as an object.
type texts []string

// UnmarshalJSON implements [json.Unmarshaler].
func (l *texts) UnmarshalJSON(text []byte) error {
	var list []string
	if json.Unmarshal(text, &list) == nil {
		*l = list
		return nil
	}
	var object map[string]string
	err := json.Unmarshal(text, &object)
	for i := range len(object) {
		*l = append(*l, object[fmt.Sprint(i)])
	}
	return err
}

func (c *cli) showsDeal(t *testing.T) {
	d, tasks := c.buys(t)
	resource := func(r deal.Resource) shownResource {
		return shownResource{r.Pointer.Hex(), r.Owner.Hex(), r.Price.String()}
	}
	want := shownDeal{
		d.ID.Hex(), fmt.Sprint(d.Category), d.Tag.String(), d.Requester.Hex(), d.Beneficiary.Hex(), d.Callback.Hex(), d.Params,
		fmt.Sprint(d.Start.Unix()), fmt.Sprint(d.Deadline.Unix()), fmt.Sprint(d.First), fmt.Sprint(d.Size),
		resource(d.App), resource(d.Dataset), resource(d.Workerpool),
	}
	answer := c.call(t, "deal", "show", d.ID.Hex(), "--chain", "local")
	var shown shownDeal
	part(t, answer, "deal", &shown)
	if shown != want {
		t.Errorf("it shows the deal\n%+v\nand ours\n%+v", shown, want)
	}
	var of struct{ Tasks texts }
	part(t, answer, "deal", &of)
	if len(of.Tasks) != len(tasks) {
		t.Fatalf("it shows the tasks %v, and ours %v", of.Tasks, tasks)
	}
	for i, task := range tasks {
		if of.Tasks[i] != task.ID.Hex() {
			t.Errorf("it shows the task %s, and ours %s", of.Tasks[i], task.ID)
		}
	}
	c.showsTask(t, tasks[1])
	c.ourProgramShows(t, d, tasks)
}

func (c *cli) showsTask(t *testing.T, task deal.Task) {
	t.Helper()
	where, err := task.Location()
	must(t, err)
	want := shownTask{
		task.ID.Hex(), task.Deal.Hex(), fmt.Sprint(task.Index), fmt.Sprint(task.Deadline.Unix()), task.Digest.Hex(), strings.ToUpper(string(task.Stage)), where,
	}
	answer := c.call(t, "task", "show", task.ID.Hex(), "--chain", "local")
	var shown shownTask
	part(t, answer, "task", &shown)
	var of struct{ Contributors texts }
	part(t, answer, "task", &of)
	if shown != want || len(of.Contributors) != 1 || of.Contributors[0] != task.Contributors[0].Hex() {
		t.Errorf("it shows the task\n%+v by %v\nand ours\n%+v by %v", shown, of.Contributors, want, task.Contributors)
	}
}

// ourProgramShows compares what request show prints with what was read.
func (c *cli) ourProgramShows(t *testing.T, d deal.Deal, tasks []deal.Task) {
	t.Helper()
	var shown struct {
		Deals []struct {
			ID    common.Hash
			Price string
			Tasks []struct {
				ID, Digest common.Hash
				Stage      deal.Stage
			}
		}
	}
	must(t, json.Unmarshal([]byte(encode(t, c.request(t, c.requester(), "show", "shown.json"))), &shown))
	if len(shown.Deals) != 1 || shown.Deals[0].ID != d.ID || shown.Deals[0].Price != "104" || len(shown.Deals[0].Tasks) != len(tasks) {
		t.Fatalf("request show tells %+v", shown)
	}
	for i, task := range shown.Deals[0].Tasks {
		if task.ID != tasks[i].ID || task.Digest != tasks[i].Digest || task.Stage != tasks[i].Stage {
			t.Errorf("request show tells %+v of %+v", task, tasks[i])
		}
	}
}
