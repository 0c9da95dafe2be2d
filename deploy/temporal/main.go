// The official Temporal server and its UI for a stack whose Temporal stores its data in PostgreSQL.
//
//	temporal-server start FILE     runs the server and the UI with this configuration until SIGINT or SIGTERM
//	temporal-server sql ...        creates databases and brings schemas up to date: the module's temporal-sql-tool
//
// One process runs the four services. It knows their addresses from the configuration, so that they need no membership protocol and no
// further ports.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"strconv"

	"github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	tlog "go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	_ "go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql" // registers the plugin postgres12_pgx
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
	"go.temporal.io/server/tools/sql"
)

func main() {
	log.SetFlags(0)
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "start":
		err = start(os.Args[2])
	case len(os.Args) > 2 && os.Args[1] == "sql":
		err = sql.RunTool(append([]string{"temporal-sql-tool"}, os.Args[2:]...))
	default:
		err = fmt.Errorf("usage: temporal-server start FILE | sql ARGUMENTS")
	}
	if err != nil {
		log.Fatal("temporal-server: ", err)
	}
}

func start(file string) error {
	cfg, err := config.Load(config.WithConfigFile(file))
	if err != nil {
		return err
	}
	hosts, frontend, err := addresses(cfg)
	if err != nil {
		return err
	}
	s, err := temporal.NewServer(
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithConfig(cfg),
		temporal.WithLogger(tlog.NewZapLogger(tlog.BuildZapLogger(cfg.Log))),
		temporal.WithStaticHosts(hosts),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.InterruptOn(temporal.InterruptCh()),
	)
	if err != nil {
		return err
	}
	if port := os.Getenv("TEMPORAL_UI_PORT"); port != "" {
		go serveUI(frontend, port)
	}
	// returns when the process is interrupted
	return s.Start()
}

// addresses returns the address of each service, and that of the frontend.
func addresses(cfg *config.Config) (map[primitives.ServiceName]static.Hosts, string, error) {
	hosts := map[primitives.ServiceName]static.Hosts{}
	var frontend string
	for _, name := range temporal.DefaultServices {
		service, ok := cfg.Services[name]
		if !ok {
			return nil, "", fmt.Errorf("the configuration has no service %s", name)
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(service.RPC.GRPCPort))
		hosts[primitives.ServiceName(name)] = static.SingleLocalHost(address)
		if name == string(primitives.FrontendService) {
			frontend = address
		}
	}
	return hosts, frontend, nil
}

func serveUI(frontend, port string) {
	number, err := strconv.Atoi(port)
	if err != nil {
		log.Fatal("temporal-server: TEMPORAL_UI_PORT: ", err)
	}
	ui := server.NewServer(server_options.WithConfigProvider(&uiconfig.Config{
		TemporalGRPCAddress: frontend,
		Host:                "127.0.0.1",
		Port:                number,
		EnableUI:            true,
		CORS:                uiconfig.CORS{CookieInsecure: true},
		DisableNewsFetch:    true,
		HideLogs:            true,
	}))
	if err := ui.Start(); err != nil {
		log.Fatal("temporal-server: the UI: ", err)
	}
}
