import type { BrokerUrl } from './broker-url.ts';
import { parseBrokerUrl, readableUrls } from './broker-url.ts';
import type { Attachment, Dial } from './connection-supervisor.ts';
import type { LinkHost } from './node-link.ts';
import { NodeLink } from './node-link.ts';
import type { ClientPorts } from '../ports.ts';
import type { NodePlace, Session } from './session.ts';

/**
 * The nodes of the cluster, as brokers tell of them, and the client's connections to those that it wants to reach directly, at most one
 * for each. A node is only dialled while the client's home connection stands and leads to another one, and at URLs of the same
 * scheme: what has brought the client home gets through.
 */
export class NodeLinks implements Attachment, LinkHost {
  readonly dial: Dial;
  readonly ports: ClientPorts;
  readonly #links = new Map<string, NodeLink>();
  #urls = new Map<string, readonly BrokerUrl[]>();
  #home: Session | undefined;
  #clusterId: string | undefined;

  constructor(dial: Dial, ports: ClientPorts) {
    this.dial = dial;
    this.ports = ports;
  }

  get clusterId(): string | undefined {
    return this.#clusterId;
  }

  /** The connection to a node, made now or later. */
  linkTo(nodeId: string): NodeLink {
    let link = this.#links.get(nodeId);
    if (link === undefined) {
      link = new NodeLink(nodeId, this);
      this.#links.set(nodeId, link);
    }
    return link;
  }

  urlsOf(nodeId: string): readonly BrokerUrl[] {
    return this.#home === undefined || this.#home.nodeId === nodeId ? [] : (this.#urls.get(nodeId) ?? []);
  }

  /** These are the nodes now; where the client has no home at the moment it is told again. */
  learn(nodes: readonly NodePlace[]): void {
    const home = this.#home;
    if (home === undefined) return;
    const { scheme } = parseBrokerUrl(home.url);
    this.#urls = new Map(nodes.map(({ nodeId, urls }) => [nodeId, readableUrls(urls, scheme)]));
  }

  sessionUp(session: Session): void {
    if (this.#clusterId !== undefined && this.#clusterId !== session.clusterId) {
      for (const link of this.#links.values()) link.disconnect();
    }
    this.#home = session;
    this.#clusterId = session.clusterId;
    this.learn(session.nodes);
  }

  sessionDown(session: Session): void {
    if (session === this.#home) this.#home = undefined;
  }

  closed(): void {
    this.#home = undefined;
    for (const link of this.#links.values()) link.close();
  }
}
