import { z } from 'zod';
import { tokenRecordSchema } from '../../security/token.ts';
import { producerKeySchema } from '../producer-key.ts';
import { topicDefinitionSchema } from '../topic-schema.ts';

/*
 * Values are JSON objects. Fields that this version does not know are kept where an object is written back (loose objects), so that nodes of
 * two versions can share a cluster while it is being upgraded.
 */
const count = z.int().nonnegative();
const ids = z.array(z.string().min(1));

/** `nodes/…`: what a member says of itself. */
export const nodeSchema = z.looseObject({
  session: z.string().min(1),
  clientUrls: z.array(z.string()),
  peerAddress: z.string().nullable(),
  zone: z.string(),
  capacity: z.number().nonnegative(),
  software: z.string(),
  draining: z.boolean(),
});

/** `partitions/…`: who has a partition and who leads it. */
export const partitionSchema = z.looseObject({
  replicas: ids,
  leader: z.string().min(1).nullable(),
  leaderEpoch: count,
  isr: ids,
  /** Unique to the change that wrote this: who does not know whether his has happened looks for it. */
  change: z.string(),
});

/** `offsets/…`: which offsets of a partition in memory may have been handed out. */
export const offsetsSchema = z.looseObject({
  /** Offsets below it may have been handed out. */
  ceiling: count,
  /** Of the claim that reserved them. */
  leaderEpoch: count,
});

/** `topics/…`: a definition, with settings of newer versions too. */
export const topicSchema = topicDefinitionSchema
  .extend({ settings: topicDefinitionSchema.shape.settings.loose() })
  .loose();
/** `tokens/…`: a token without its secret. */
export const tokenSchema = tokenRecordSchema;
/** `cluster`: who the cluster is. */
export const clusterSchema = z.looseObject({
  id: z.string().min(1),
  /** Hexadecimal; left out by versions that had none. */
  producerKey: producerKeySchema.optional(),
});
/** `controller`: the node that was elected. */
export const controllerSchema = z.looseObject({ nodeId: z.string().min(1), session: z.string().min(1) });
/** `producer-ids`: the ceiling of those that may have been given out. */
export const producerIdsSchema = z.looseObject({ ceiling: z.int().positive() });

/** `rebalance`: who asked for it. */
export const rebalanceSchema = z.looseObject({
  /** Id of the node that was asked. */
  by: z.string().min(1),
  /** Unique to the request. */
  change: z.string(),
});

/** What {@link nodeSchema} describes. */
export type NodeValue = z.infer<typeof nodeSchema>;
/** What {@link partitionSchema} describes. */
export type PartitionValue = z.infer<typeof partitionSchema>;
/** What {@link offsetsSchema} describes. */
export type OffsetsValue = z.infer<typeof offsetsSchema>;
/** What {@link topicSchema} describes. */
export type TopicValue = z.infer<typeof topicSchema>;
/** What {@link tokenSchema} describes. */
export type TokenValue = z.infer<typeof tokenSchema>;
/** What {@link clusterSchema} describes. */
export type ClusterValue = z.infer<typeof clusterSchema>;
/** What {@link controllerSchema} describes. */
export type ControllerValue = z.infer<typeof controllerSchema>;
/** What {@link producerIdsSchema} describes. */
export type ProducerIdsValue = z.infer<typeof producerIdsSchema>;
/** What {@link rebalanceSchema} describes. */
export type RebalanceValue = z.infer<typeof rebalanceSchema>;

/** The bytes of a value. */
export function encodeValue(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** @returns the value, or why it is none, in words for people */
export function decodeValue<T>(
  schema: z.ZodType<T>,
  bytes: Uint8Array,
): { readonly value: T } | { readonly fault: string } {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return { fault: 'not JSON' };
  }
  const parsed = schema.safeParse(json);
  return parsed.success ? { value: parsed.data } : { fault: z.prettifyError(parsed.error) };
}
