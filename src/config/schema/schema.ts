import { z } from 'zod';
import { duration, oneOf, path } from '../kinds.ts';
import { setting } from '../setting.ts';
import { aclSchema, authSchema } from './access.ts';
import { clusterSchema, peerSchema } from './cluster.ts';
import { groupsSchema } from './groups.ts';
import { limitsSchema } from './limits.ts';
import { grpcSchema, httpSchema, nodeSchema, quicSchema, tlsSchema } from './listen.ts';
import { storageSchema } from './storage.ts';
import { topicsSchema } from './topics.ts';

/** All settings of a node, in the order of the reference. Keys are as in the file. */
export const configSchema = z.strictObject({
  node: nodeSchema,
  dataDir: setting(path(), {
    description: 'Directory of everything the node keeps: certificates, tokens, topics, records.',
    default: './sluice-data',
    flag: 'data',
  }),
  quic: quicSchema,
  tls: tlsSchema,
  http: httpSchema,
  grpc: grpcSchema,
  cluster: clusterSchema,
  peer: peerSchema,
  auth: authSchema,
  acl: aclSchema,
  topics: topicsSchema,
  groups: groupsSchema,
  storage: storageSchema,
  limits: limitsSchema,
  drain: z.strictObject({
    timeout: setting(duration({ min: 0, max: 3_600_000 }), {
      description: 'Time that a stopping node gives its clients to leave.',
      default: '10s',
    }),
  }),
  log: z.strictObject({
    level: setting(oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']), {
      description: 'Least important records that are logged.',
      default: 'info',
      flag: 'log-level',
    }),
    format: setting(oneOf(['json', 'text']), {
      description: 'One JSON object per line, or text for people.',
      default: 'json',
    }),
  }),
});

/** What the schema makes of what was written. */
export type ParsedConfig = z.output<typeof configSchema>;
