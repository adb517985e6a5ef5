import { join } from 'node:path';
import { z } from 'zod';
import { SluiceError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type { TokenRecord, TokenStore } from '../../security/token.ts';
import { tokenRecordSchema } from '../../security/token.ts';
import type { DiskReserve } from './disk-reserve.ts';
import { producerKeySchema } from '../producer-key.ts';
import { StateFile } from './state-file.ts';

const nodeSchema = z.strictObject({
  clusterId: z.string().min(1),
  nodeId: z.string().min(1),
  /** How often this directory has been opened: the leader epoch of all its partitions, so that every start has a larger one. */
  starts: z.int().nonnegative(),
  /** Producer ids below it may have been given out. */
  producerIdCeiling: z.int().positive(),
  /** Hexadecimal; left out by versions that had none. */
  producerKey: producerKeySchema.optional(),
});

/** What `node.json` holds. */
export type NodeState = z.infer<typeof nodeSchema>;

/** What a node on its own stores about itself, and its tokens. */
export interface NodeFiles {
  readonly node: StateFile<NodeState>;
  readonly tokens: StateFile<readonly TokenRecord[]>;
}

/**
 * Reads both, or makes them at the first start. `node.json` is written last then: while it is missing nothing else may hold anything yet.
 * @param topics how many there are
 * @throws STORAGE_FAILED when one of the files is missing, damaged or cannot be read; STORAGE_FULL
 */
export async function openNodeFiles(
  directory: string,
  topics: number,
  random: Random,
  reserve: DiskReserve,
): Promise<NodeFiles> {
  const nodePath = join(directory, 'node.json');
  const tokensPath = join(directory, 'tokens.json');
  const node = await StateFile.open<NodeState>(nodePath, nodeSchema, reserve);
  const tokens = await StateFile.open<readonly TokenRecord[]>(
    tokensPath,
    z.array(tokenRecordSchema),
    reserve,
  );
  if (node && tokens) return { node, tokens };
  if (node) throw missing(tokensPath);
  if (topics > 0 || (tokens?.state.length ?? 0) > 0) throw missing(nodePath);
  return {
    tokens: tokens ?? (await StateFile.create<readonly TokenRecord[]>(tokensPath, [], reserve)),
    node: await StateFile.create<NodeState>(
      nodePath,
      { clusterId: random.uuid(), nodeId: random.uuid(), starts: 0, producerIdCeiling: 1 },
      reserve,
    ),
  };
}

function missing(path: string): SluiceError {
  return new SluiceError(
    'STORAGE_FAILED',
    `${path} is missing though others are there; restore it from a backup`,
  );
}

/**
 * The tokens of a file.
 * @param checkOpen throws when nothing is written any more
 */
export function tokenStore(file: StateFile<readonly TokenRecord[]>, checkOpen: () => void): TokenStore {
  return {
    list: () => file.state,
    get: (id) => file.state.find((token) => token.id === id),
    put: async (token) => {
      checkOpen();
      await file.update((tokens) => [...tokens.filter(({ id }) => id !== token.id), token]);
    },
    delete: async (id) => {
      checkOpen();
      let found = false;
      await file.update((tokens) => {
        const rest = tokens.filter((token) => token.id !== id);
        found = rest.length < tokens.length;
        return rest;
      });
      return found;
    },
  };
}
