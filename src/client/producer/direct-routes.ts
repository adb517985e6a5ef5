import type { LinkUser, NodeLink } from '../connection/node-link.ts';
import type { NodeLinks } from '../connection/node-links.ts';
import type { ClientPorts } from '../ports.ts';
import type { StreamUser } from './producer-connection.ts';
import { ProducerConnection } from './producer-connection.ts';
import type { ProducerStream } from './producer-stream.ts';
import type { Session } from '../connection/session.ts';

/** What a producer does when its ways to nodes come and go. */
export interface RouteUser extends StreamUser {
  /** A node cannot be reached now: perhaps it leads nothing any more. @param lost it could until now */
  nodeUnreachable(nodeId: string, lost: boolean): void;
}

/** A producer's stream with one node. */
class DirectRoute implements LinkUser {
  readonly #link: NodeLink;
  readonly #user: RouteUser;
  readonly #connection: ProducerConnection;
  #detach: (() => void) | undefined;

  constructor(link: NodeLink, ports: ClientPorts, user: RouteUser) {
    this.#link = link;
    this.#user = user;
    this.#connection = new ProducerConnection(ports, user);
  }

  /** Begins to hear of sessions, at once where there is one. */
  start(): void {
    this.#detach = this.#link.attach(this);
  }

  /** Where to send now; undefined while there is no connection, which is wanted then. */
  get stream(): ProducerStream | undefined {
    const { stream } = this.#connection;
    if (stream === undefined) this.#link.want();
    return stream;
  }

  close(): void {
    this.#detach?.();
    this.#connection.close();
  }

  usedLately(): boolean {
    return this.#connection.usedLately();
  }

  sessionUp(session: Session): void {
    this.#connection.sessionUp(session);
  }

  sessionDown(session: Session): void {
    this.#connection.sessionDown(session);
  }

  unreachable(lost: boolean): void {
    this.#user.nodeUnreachable(this.#link.nodeId, lost);
  }
}

/** A producer's own ways to the nodes that lead partitions, besides the connection its client lives on. */
export class DirectRoutes {
  readonly #links: NodeLinks;
  readonly #ports: ClientPorts;
  readonly #user: RouteUser;
  readonly #routes = new Map<string, DirectRoute>();
  #isClosed = false;

  constructor(links: NodeLinks, ports: ClientPorts, user: RouteUser) {
    this.#links = links;
    this.#ports = ports;
    this.#user = user;
  }

  /** The stream with a node; undefined: there is none now, but `user` is told when there is, unless this is closed. */
  streamTo(nodeId: string): ProducerStream | undefined {
    if (this.#isClosed) return undefined;
    let route = this.#routes.get(nodeId);
    if (route === undefined) {
      route = new DirectRoute(this.#links.linkTo(nodeId), this.#ports, this.#user);
      this.#routes.set(nodeId, route);
      route.start();
    }
    return route.stream;
  }

  /** No streams any more. */
  close(): void {
    this.#isClosed = true;
    for (const route of this.#routes.values()) route.close();
    this.#routes.clear();
  }
}
