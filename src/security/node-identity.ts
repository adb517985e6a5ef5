import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { SluiceError } from '../kernel/errors.ts';

/** Names of clusters and nodes: 1 to 64 characters, so that they need no escaping in a URI. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const NODE_URI = /^sluice:\/\/([^/]+)\/node\/([^/]+)$/;

/** Which node a certificate speaks for. */
export interface NodeIdentity {
  /** Name of the cluster, as configured. */
  readonly cluster: string;
  readonly nodeId: string;
}

/**
 * What a node's certificate says it is: `sluice://CLUSTER/node/ID`, a URI among its subject alternative names.
 * @throws INVALID_ARGUMENT when a name is not 1 to 64 characters of `A-Z a-z 0-9 . _ -`, the first a letter or digit
 */
export function nodeUri({ cluster, nodeId }: NodeIdentity): string {
  for (const [what, name] of [
    ['cluster', cluster],
    ['node', nodeId],
  ] as const) {
    if (!NAME.test(name)) {
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `'${name}' cannot be the name of a ${what}: 1 to 64 characters of A-Z a-z 0-9 . _ -`,
      );
    }
  }
  return `sluice://${cluster}/node/${nodeId}`;
}

/**
 * Reads which node a verified certificate speaks for. Common name, DNS names and addresses say nothing about that.
 *
 * @param certificate DER, or PEM
 * @throws CERTIFICATE_REJECTED unless exactly one of its URIs begins with `sluice:` and that one names a node
 */
export function readNodeIdentity(certificate: Buffer | string): NodeIdentity {
  const uris = urisOf(certificate).filter((uri) => /^sluice:/i.test(uri));
  if (uris.length !== 1) {
    throw new SluiceError(
      'CERTIFICATE_REJECTED',
      uris.length === 0
        ? 'the certificate names no node; issue it with: sluice certs issue ID --node'
        : 'the certificate names more than one node',
    );
  }
  const [, cluster = '', nodeId = ''] = NODE_URI.exec(uris[0]!) ?? [];
  if (NAME.test(cluster) && NAME.test(nodeId)) return { cluster, nodeId };
  throw new SluiceError('CERTIFICATE_REJECTED', `the certificate's ${JSON.stringify(uris[0])} names no node`);
}

/**
 * Makes sure that a verified certificate speaks for a node of `cluster`, and for `nodeId` where that is given.
 *
 * @param certificate DER, or PEM
 * @returns whom it speaks for
 * @throws CERTIFICATE_REJECTED
 */
export function checkNodeIdentity(
  certificate: Buffer | string,
  expected: { readonly cluster: string; readonly nodeId: string | undefined },
): NodeIdentity {
  const found = readNodeIdentity(certificate);
  if (found.cluster !== expected.cluster) {
    throw new SluiceError(
      'CERTIFICATE_REJECTED',
      `the certificate is for node ${found.nodeId} of cluster ${found.cluster}, not of ${expected.cluster}`,
    );
  }
  if (expected.nodeId !== undefined && found.nodeId !== expected.nodeId) {
    throw new SluiceError(
      'CERTIFICATE_REJECTED',
      `the certificate is for node ${found.nodeId}, not for ${expected.nodeId}`,
    );
  }
  return found;
}

function urisOf(certificate: Buffer | string): string[] {
  try {
    const parsed = new x509.X509Certificate(certificate);
    const names = parsed.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
    return names.filter(({ type }) => type === 'url').map(({ value }) => value);
  } catch (cause) {
    throw new SluiceError('CERTIFICATE_REJECTED', 'the certificate cannot be read', { cause });
  }
}
