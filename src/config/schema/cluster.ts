import { z } from 'zod';
import { commaList, duration, integer, listenAddress, orOff, orWord, path, text } from '../kinds.ts';
import { setting } from '../setting.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const NAME_EXPECTS = '1 to 64 characters of A-Z a-z 0-9 . _ -';

/** Where the nodes of a cluster agree with each other. */
const etcdSchema = z.strictObject({
  endpoints: setting(commaList('a list of http://host:port or https://host:port', /^https?:\/\/[^/\s,]+$/), {
    description:
      'Members of etcd, all http or all https. Set: the node is one of a cluster; empty: it is on its own, and keeps under `dataDir` what others keep in etcd. In the environment: separated by commas.',
    default: [],
  }),
  ca: setting(orOff(path()), {
    description: "PEM file with the authorities of etcd's certificate; needed with https.",
    default: 'off',
  }),
  certificate: setting(orOff(path()), {
    description: 'PEM file with the certificate that this node shows etcd.',
    default: 'off',
  }),
  key: setting(orOff(path()), {
    description: 'PEM file with the private key that belongs to `cluster.etcd.certificate`.',
    default: 'off',
  }),
  username: setting(orOff(text('1 to 128 characters', /^.{1,128}$/)), {
    description: 'User that this node is to etcd.',
    default: 'off',
  }),
  passwordFile: setting(orOff(path()), {
    description: 'File with the password of `cluster.etcd.username`; a line end after it does not count.',
    default: 'off',
  }),
});

/** The cluster this node belongs to. */
export const clusterSchema = z.strictObject({
  name: setting(text(NAME_EXPECTS, NAME), {
    description: 'Name of the cluster: its keys in etcd are under `/sluice/NAME/`.',
    default: 'main',
  }),
  etcd: etcdSchema,
  leaseTtl: setting(duration({ min: 2_000, max: 60_000 }), {
    description:
      'Whole seconds after which a node that is not heard of is none any more: others take over what it leads, and it has stopped acknowledging by then.',
    default: '3s',
  }),
  zone: setting(text('0 to 64 characters of A-Z a-z 0-9 . _ -', /^[A-Za-z0-9._-]{0,64}$/), {
    description: 'Nodes that fail together name the same zone; copies of a partition are spread over zones.',
    default: '',
  }),
  capacity: setting(integer({ min: 0, max: 1000 }), {
    description: 'Share of the partitions that this node takes, relative to the others; 0: none.',
    default: 1,
  }),
});

/** How nodes of a cluster reach each other: gRPC, with certificates on both sides. */
export const peerSchema = z.strictObject({
  listen: setting(listenAddress(), {
    description: 'TCP address for the other nodes; used in a cluster only. Port 0 picks a free one.',
    default: '127.0.0.1:7452',
  }),
  advertise: setting(orWord(listenAddress(), 'auto', null), {
    description:
      'Where the other nodes reach this one. `auto`: where it listens; needed where that is every interface.',
    default: 'auto',
  }),
  tls: z.strictObject({
    certificate: setting(orOff(path()), {
      description:
        'PEM file with the certificate that this node shows the others and they show it: `sluice certs issue --node`. Needed in a cluster.',
      default: 'off',
    }),
    key: setting(orOff(path()), {
      description: 'PEM file with the private key that belongs to `peer.tls.certificate`.',
      default: 'off',
    }),
    ca: setting(orOff(path()), {
      description: "PEM file with the authorities of the other nodes' certificates.",
      default: 'off',
    }),
  }),
});
