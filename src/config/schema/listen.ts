import { z } from 'zod';
import { commaList, listenAddress, oneOf, orOff, orWord, path, size, text, yesOrNo } from '../kinds.ts';
import { setting } from '../setting.ts';

/** Who this node is. */
export const nodeSchema = z.strictObject({
  id: setting(
    orWord(
      text('1 to 64 characters of A-Z a-z 0-9 . _ -', /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
      'auto',
      null,
    ),
    {
      description:
        'Name of this node, unique in its cluster, where it has to be set. `auto`: `node-1`, for a node on its own.',
      default: 'auto',
      flag: 'node-id',
    },
  ),
});

/** The native protocol over QUIC. */
export const quicSchema = z.strictObject({
  listen: setting(listenAddress(), {
    description: 'UDP address of the native protocol. Port 0 picks a free one.',
    default: '127.0.0.1:7450',
    flag: 'quic',
  }),
  advertise: setting(orWord(listenAddress(), 'auto', null), {
    description:
      'Where clients reach this node, as it and the other nodes of its cluster tell them. `auto`: where it listens, or, where that is every interface, the first of `tls.names`.',
    default: 'auto',
  }),
});

/** The native protocol over HTTP/2, and the certificates that both use. */
export const tlsSchema = z.strictObject({
  listen: setting(orOff(orWord(listenAddress(), 'same', 'same')), {
    description:
      'TCP address of the native protocol over HTTP/2, for networks that block UDP. `same`: host and port number of `quic.listen`.',
    default: 'same',
    flag: 'tls-listen',
  }),
  advertise: setting(orWord(listenAddress(), 'auto', null), {
    description: 'Where clients reach `tls.listen`; `auto` as for `quic.advertise`.',
    default: 'auto',
  }),
  certificate: setting(orWord(path(), 'own', null), {
    description:
      'PEM file with the certificate chain. `own`: the node makes an authority and a certificate under `dataDir`.',
    default: 'own',
  }),
  key: setting(orWord(path(), 'own', null), {
    description: 'PEM file with the private key that belongs to `tls.certificate`.',
    default: 'own',
  }),
  names: setting(
    commaList('a list of DNS names and IP addresses', /^[A-Za-z0-9*][A-Za-z0-9.:_-]*$|^::[0-9a-fA-F:.]*$/),
    {
      description:
        'Names and addresses for the certificate that the node makes itself, besides localhost, 127.0.0.1, ::1 and the listen hosts. In the environment: separated by commas.',
      default: [],
    },
  ),
  clientCa: setting(orOff(path()), {
    description:
      'PEM file with the authorities of client certificates. `off`: client certificates are not asked for.',
    default: 'off',
  }),
  requireClientCertificate: setting(yesOrNo(), {
    description: 'Refuse clients without a certificate.',
    default: false,
  }),
});

/** Messages and queues for programs in any language, over gRPC. */
export const grpcSchema = z.strictObject({
  listen: setting(orOff(listenAddress()), {
    description: 'TCP address of the message service over gRPC (docs/grpc.md), such as `127.0.0.1:7453`.',
    default: 'off',
    flag: 'grpc',
  }),
  plaintext: setting(yesOrNo(), {
    description:
      'Without TLS: tokens and messages can be read on the way. `false`: with the certificates of `tls`.',
    default: false,
  }),
});

/** The HTTP gateway: health, readiness and metrics, and the API. */
export const httpSchema = z.strictObject({
  listen: setting(orOff(listenAddress()), {
    description: 'TCP address of health, readiness, metrics and the HTTP API. Port 0 picks a free one.',
    default: '127.0.0.1:7451',
    flag: 'http',
  }),
  tls: setting(yesOrNo(), {
    description:
      'HTTPS with the certificates of `tls`, and client certificates as there. `false`: plain HTTP, health and metrics included.',
    default: false,
  }),
  api: setting(oneOf(['auto', 'on', 'off']), {
    description:
      'Whether topics, messages, groups and queues are served besides health and metrics. `auto`: over HTTPS, and over plain HTTP where `http.listen` is an address of this machine only. `on`: over plain HTTP on any address, where tokens and records can be read on the way.',
    default: 'auto',
  }),
  origins: setting(
    commaList('a list of https://host[:port], http://host[:port], or *', /^(?:https?:\/\/[^/\s,]+|\*)$/),
    {
      description:
        'Origins whose pages may use the HTTP API (CORS), besides those this node was loaded from by its own names; `*`: every page anywhere. In the environment: separated by commas.',
      default: [],
    },
  ),
  bodyMaxBytes: setting(size({ min: 1024, max: 64 * 1024 * 1024 }), {
    description: 'Largest body of a request; a batch of records in NDJSON is one.',
    default: '4MiB',
  }),
});
