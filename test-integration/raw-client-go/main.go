// A raw-mode client of the Sluice native protocol on quic-go, written from docs/protocol.md alone.
//
//	raw-client -server HOST:PORT -ca FILE
//
// Orders come on stdin, one JSON object a line; what happens goes to stdout the same way:
//
//	{"op":"subscribe","topic":FILTER,"payload":START}    {"event":"connected"}
//	{"op":"unsubscribe","topic":FILTER}                  {"event":"message","stream":N,"address":A,"value":V}
//	{"op":"publish","topic":ADDRESS,"payload":VALUE}     {"event":"end","stream":N} or with "code" when it was reset
//	                                                     {"event":"error","payload":BASE64}, a protobuf Error
//	                                                     {"event":"stopped","code":N}, the publish stream
//
// It ends with its stdin.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/lucas-clemente/quic-go"
)

// Section 2: frame types and header.
const (
	framePublish     = 0x01
	frameSubscribe   = 0x02
	frameUnsubscribe = 0x03
	frameMessage     = 0x04
	frameError       = 0x14
	headerBytes      = 6
	maxFrameBytes    = 17 << 20
)

type frame struct {
	kind    byte
	topic   string
	payload []byte
}

func (f frame) encode() ([]byte, error) {
	if len(f.topic) > 255 {
		return nil, errors.New("topic is longer than 255 bytes")
	}
	bytes := make([]byte, headerBytes, headerBytes+len(f.topic)+len(f.payload))
	bytes[0] = f.kind
	bytes[1] = byte(len(f.topic))
	binary.BigEndian.PutUint32(bytes[2:], uint32(len(f.payload)))
	return append(append(bytes, f.topic...), f.payload...), nil
}

func readFrame(from io.Reader) (frame, error) {
	var header [headerBytes]byte
	if _, err := io.ReadFull(from, header[:]); err != nil {
		return frame{}, err
	}
	length := binary.BigEndian.Uint32(header[2:])
	if length > maxFrameBytes {
		return frame{}, fmt.Errorf("a frame of %d bytes", length)
	}
	body := make([]byte, int(header[1])+int(length))
	if _, err := io.ReadFull(from, body); err != nil {
		return frame{}, err
	}
	topic := int(header[1])
	return frame{header[0], string(body[:topic]), body[topic:]}, nil
}

type event struct {
	Event   string  `json:"event"`
	Stream  *int64  `json:"stream,omitempty"`
	Address string  `json:"address,omitempty"`
	Value   *string `json:"value,omitempty"`
	Code    *uint64 `json:"code,omitempty"`
	Payload []byte  `json:"payload,omitempty"`
}

var output sync.Mutex

func say(what event) {
	output.Lock()
	defer output.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(what)
}

type order struct {
	Op      string `json:"op"`
	Topic   string `json:"topic"`
	Payload string `json:"payload"`
}

// Section 1: the certificate is always verified, the application protocol is sluice/1.
func dial(server string, caFile string) (quic.Connection, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	secured := &tls.Config{RootCAs: authorities, NextProtos: []string{"sluice/1"}, MinVersion: tls.VersionTLS13}
	return quic.DialAddr(server, secured, &quic.Config{
		MaxIncomingUniStreams:      1000,
		HandshakeIdleTimeout:       20 * time.Second,
		KeepAlivePeriod:            5 * time.Second,
		MaxStreamReceiveWindow:     1 << 20,
		MaxConnectionReceiveWindow: 64 << 20,
	})
}

// Section 4: the broker opens a unidirectional stream for each partition that a subscription matches.
func acceptDeliveries(connection quic.Connection) {
	for {
		stream, err := connection.AcceptUniStream(context.Background())
		if err != nil {
			return
		}
		go readDelivery(stream)
	}
}

func readDelivery(stream quic.ReceiveStream) {
	id := int64(stream.StreamID())
	buffered := bufio.NewReader(stream)
	for {
		received, err := readFrame(buffered)
		var reset *quic.StreamError
		switch {
		case err == nil && received.kind == frameMessage:
			value := string(received.payload)
			say(event{Event: "message", Stream: &id, Address: received.topic, Value: &value})
		case err == io.EOF:
			say(event{Event: "end", Stream: &id})
			return
		case errors.As(err, &reset):
			code := uint64(reset.ErrorCode)
			say(event{Event: "end", Stream: &id, Code: &code})
			return
		case err != nil:
			return
		}
	}
}

func readControl(control quic.Stream) {
	buffered := bufio.NewReader(control)
	for {
		received, err := readFrame(buffered)
		if err != nil {
			return
		}
		if received.kind == frameError {
			say(event{Event: "error", Payload: received.payload})
		}
	}
}

// publisher writes PUBLISH frames to a unidirectional stream, and to a new one when the broker stopped it.
type publisher struct {
	connection quic.Connection
	stream     quic.SendStream
}

func (p *publisher) publish(bytes []byte) error {
	if p.stream == nil {
		opened, err := p.connection.OpenUniStreamSync(context.Background())
		if err != nil {
			return err
		}
		p.stream = opened
		go func() {
			<-opened.Context().Done()
			var stopped *quic.StreamError
			if _, err := opened.Write([]byte{0}); errors.As(err, &stopped) {
				code := uint64(stopped.ErrorCode)
				say(event{Event: "stopped", Code: &code})
			}
		}()
	}
	_, err := p.stream.Write(bytes)
	var stopped *quic.StreamError
	if errors.As(err, &stopped) {
		p.stream = nil
		return p.publish(bytes)
	}
	return err
}

func run() error {
	server := flag.String("server", "127.0.0.1:7450", "host and port of the broker")
	caFile := flag.String("ca", "", "file with the authority that issued the broker's certificate, PEM")
	flag.Parse()
	connection, err := dial(*server, *caFile)
	if err != nil {
		return err
	}
	// The control stream is the first bidirectional one; the broker sees it with its first bytes.
	control, err := connection.OpenStreamSync(context.Background())
	if err != nil {
		return err
	}
	go acceptDeliveries(connection)
	go readControl(control)
	say(event{Event: "connected"})

	publishing := &publisher{connection: connection}
	orders := json.NewDecoder(os.Stdin)
	for {
		var next order
		if err := orders.Decode(&next); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if err := obey(next, control, publishing); err != nil {
			return err
		}
	}
	if publishing.stream != nil {
		_ = publishing.stream.Close()
	}
	return connection.CloseWithError(0, "")
}

func obey(next order, control quic.Stream, publishing *publisher) error {
	kind, known := map[string]byte{
		"publish": framePublish, "subscribe": frameSubscribe, "unsubscribe": frameUnsubscribe,
	}[next.Op]
	if !known {
		return fmt.Errorf("unknown order %q", next.Op)
	}
	bytes, err := frame{kind, next.Topic, []byte(next.Payload)}.encode()
	if err != nil {
		return err
	}
	if kind == framePublish {
		return publishing.publish(bytes)
	}
	_, err = control.Write(bytes)
	return err
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "raw-client:", err)
		os.Exit(1)
	}
}
