// A TURN server of pion/turn for the benchmark: UDP, long-term credentials of one user, relays on its own address.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/pion/turn/v4"
	"golang.org/x/sys/unix"
)

const (
	realm    = "example.org"
	user     = "user"
	password = "secret"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:3478", "address of the clients, and with other ports of the relays")
	sockets := flag.Int("sockets", 1, "sockets that share this address, each with a goroutine that reads it")
	flag.Parse()
	server, err := turn.NewServer(turn.ServerConfig{
		Realm:             realm,
		AuthHandler:       oneUser(),
		PacketConnConfigs: listeners(*listen, *sockets),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}

// oneUser makes the key once, not at each request.
func oneUser() turn.AuthHandler {
	key := turn.GenerateAuthKey(user, realm, password)
	return func(name, _ string, _ net.Addr) ([]byte, bool) { return key, name == user }
}

// listeners follows pion's own example of a server with several threads: SO_REUSEPORT shares the clients out.
func listeners(address string, sockets int) []turn.PacketConnConfig {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		log.Fatal(err)
	}
	relays := &turn.RelayAddressGeneratorPortRange{
		RelayAddress: net.ParseIP(host), Address: host, MinPort: 32768, MaxPort: 65535, MaxRetries: 100,
	}
	made := make([]turn.PacketConnConfig, sockets)
	for i := range made {
		made[i] = turn.PacketConnConfig{PacketConn: open(address), RelayAddressGenerator: relays}
	}
	return made
}

// open has the same receive buffer as the other servers' listeners.
func open(address string) net.PacketConn {
	config := net.ListenConfig{Control: share}
	conn, err := config.ListenPacket(context.Background(), "udp4", address)
	if err != nil {
		log.Fatal(err)
	}
	if err := conn.(*net.UDPConn).SetReadBuffer(4 << 20); err != nil {
		log.Fatal(err)
	}
	return conn
}

func share(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(descriptor uintptr) {
		failed = unix.SetsockoptInt(int(descriptor), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if err != nil {
		return err
	}
	return failed
}
