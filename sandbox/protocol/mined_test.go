package protocol_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/mrelease/mrelease/sandbox/protocol"
)

// A receipt counts when the node's state is that of its block, and not before.
func TestMined(t *testing.T) {
	var asked []string
	receipt := fmt.Sprintf(`{"blockNumber":"0x5","blockHash":"%[1]s","transactionHash":"%[1]s","transactionIndex":"0x0","status":"0x1","cumulativeGasUsed":"0x1","gasUsed":"0x1","logs":[],"logsBloom":"0x%0512d"}`, common.Hash{1}, 0)
	answers := map[string][]string{
		"eth_getTransactionReceipt": {"null", receipt, receipt, receipt},
		"eth_blockNumber":           {`"0x4"`, `"0x4"`, `"0x5"`},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			ID     json.RawMessage
			Method string
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil || len(answers[call.Method]) == 0 {
			t.Errorf("asked %s: %v", call.Method, err)
			return
		}
		asked = append(asked, strings.TrimPrefix(call.Method, "eth_"))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, call.ID, answers[call.Method][0])
		answers[call.Method] = answers[call.Method][1:]
	}))
	defer server.Close()
	client, err := ethclient.Dial(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	got, err := protocol.Mined(t.Context(), client, common.Hash{1})
	if err != nil || got.BlockNumber.Uint64() != 5 {
		t.Errorf("got %+v, %v", got, err)
	}
	want := "getTransactionReceipt getTransactionReceipt blockNumber getTransactionReceipt blockNumber getTransactionReceipt blockNumber"
	if text := strings.Join(asked, " "); text != want {
		t.Errorf("asked %s, want %s", text, want)
	}
}

// Whatever waits for a transaction here waits by Mined.
func TestOnlyMinedWaits(t *testing.T) {
	other := regexp.MustCompile(`\.TransactionReceipt\(|\bbind\.WaitMined\(`)
	seen := 0
	err := fs.WalkDir(os.DirFS(".."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "node_modules" {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasPrefix(path, "protocol/mined") {
			return nil
		}
		seen++
		text, err := os.ReadFile("../" + path)
		if found := other.Find(text); found != nil {
			t.Errorf("%s waits by %s) itself", path, found)
		}
		return err
	})
	if err != nil || seen < 100 {
		t.Errorf("%d files seen, %v", seen, err)
	}
}
