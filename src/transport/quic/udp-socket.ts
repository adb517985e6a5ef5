import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { HostPort } from './native.ts';

const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;
const PACKET_BUFFER_BYTES = 65_536;
/** Datagrams that may wait in this process while the kernel's buffer is full; see {@link UdpSocket.congested}. */
const MAX_WAITING_DATAGRAMS = 128;

/** What a socket tells its owner. */
export interface UdpEvents {
  /** A datagram; the buffer is the receiver's own. */
  readonly onPacket: (packet: Buffer, from: RemoteInfo) => void;
  /** The network refused a datagram (ICMP) or the socket failed. */
  readonly onError: (error: NodeJS.ErrnoException) => void;
}

/** A UDP socket that sends from one reused buffer and never throws once it is open. */
export class UdpSocket {
  readonly #socket: Socket;
  #local: HostPort = { host: '0.0.0.0', port: 0 };
  #buffer = Buffer.allocUnsafeSlow(PACKET_BUFFER_BYTES);
  #connected = false;
  #closed = false;

  private constructor(socket: Socket, events: UdpEvents) {
    this.#socket = socket;
    socket.on('message', events.onPacket);
    socket.on('error', events.onError);
  }

  /** Opens a socket bound to `host:port`. @throws the system's error when the address cannot be bound */
  static async bind(host: string, port: number, events: UdpEvents): Promise<UdpSocket> {
    const socket = open(host);
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(port, host, () => {
        socket.off('error', reject);
        resolve();
      });
    });
    return new UdpSocket(socket, events).#opened();
  }

  /** Opens a socket that talks to `peer` alone. @throws the system's error when there is no way to it */
  static async connect(peer: HostPort, events: UdpEvents): Promise<UdpSocket> {
    const socket = open(peer.host);
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(peer.port, peer.host, (error?: Error | null) => {
        socket.off('error', reject);
        if (error == null) resolve();
        else reject(error);
      });
    }).catch((error: unknown) => {
      socket.close();
      throw error;
    });
    const opened = new UdpSocket(socket, events).#opened();
    opened.#connected = true;
    return opened;
  }

  /** The address this socket is bound to. */
  get local(): HostPort {
    return this.#local;
  }

  /** The buffer to put the next packet into. */
  get buffer(): Buffer {
    return this.#buffer;
  }

  /** True while so many datagrams wait for the kernel that nothing should be added. */
  get congested(): boolean {
    return !this.#closed && this.#socket.getSendQueueCount() > MAX_WAITING_DATAGRAMS;
  }

  /**
   * Sends the first `length` bytes of {@link buffer}. A datagram that the system refuses is lost, as on the network.
   * @param to ignored by a connected socket
   */
  send(length: number, to: HostPort): void {
    if (this.#closed) return;
    try {
      if (this.#connected) this.#socket.send(this.#buffer, 0, length);
      else this.#socket.send(this.#buffer, 0, length, to.port, to.host);
    } catch {
      // An address or size that the system does not take: the same as a lost datagram.
    }
    // The kernel usually takes a datagram at once. If it did not, the socket still reads from the buffer: leave it that one.
    if (this.#socket.getSendQueueCount() > 0) this.#buffer = Buffer.allocUnsafeSlow(PACKET_BUFFER_BYTES);
  }

  /** Lets the process end although the socket is open. */
  unref(): void {
    this.#socket.unref();
  }

  /** Frees the address. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await new Promise<void>((resolve) => this.#socket.close(resolve));
  }

  #opened(): this {
    const address = this.#socket.address();
    this.#local = { host: address.address, port: address.port };
    try {
      this.#socket.setRecvBufferSize(SOCKET_BUFFER_BYTES);
      this.#socket.setSendBufferSize(SOCKET_BUFFER_BYTES);
    } catch {
      // The system's limit is lower; its default serves.
    }
    return this;
  }
}

function open(host: string): Socket {
  const family = isIPv6(host) ? 6 : 4;
  return createSocket({
    type: family === 6 ? 'udp6' : 'udp4',
    // Addresses here are always IP addresses: skip the resolver on every datagram.
    lookup: (address, _options, callback) => {
      callback(null, address, family);
    },
  });
}
