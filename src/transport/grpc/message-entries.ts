import type { DescMessage } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { SluiceError } from '../../kernel/errors.ts';

/**
 * Entries of a message, those of the messages in it included: twice as many as partitions that one question may name, for each of which there is a message and
 * an id in it.
 */
const ENTRIES_MAX = 262_144;
/** A message of fewer bytes cannot have too many: an entry has a tag and a length. */
const HARMLESS_BYTES = 2 * ENTRIES_MAX;

/**
 * Refuses a protobuf message of very many small parts before it is read: an empty one takes two bytes there and some hundred once it is an object.
 *
 * @throws OVERLOADED; what the reader throws when it is no message
 */
export function checkEntries(schema: DescMessage, bytes: Uint8Array): void {
  if (bytes.length <= HARMLESS_BYTES) return;
  count(schema, new BinaryReader(bytes), bytes.length, 0);
}

/** @param end where the message of that schema ends @returns entries so far */
function count(schema: DescMessage, reader: BinaryReader, end: number, before: number): number {
  let entries = before;
  const messages = messagesOf(schema);
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    if (wireType !== WireType.LengthDelimited) {
      reader.skip(wireType, field);
      continue;
    }
    entries += 1;
    if (entries > ENTRIES_MAX)
      throw new SluiceError('OVERLOADED', `a ${schema.typeName} has more than ${ENTRIES_MAX} entries`);
    const inner = messages.get(field);
    if (inner) {
      const length = reader.uint32();
      entries = count(inner, reader, reader.pos + length, entries);
    } else {
      reader.skip(wireType, field);
    }
  }
  return entries;
}

/** By number of the field. */
function messagesOf(schema: DescMessage): ReadonlyMap<number, DescMessage> {
  const known = MESSAGES.get(schema);
  if (known) return known;
  const messages = new Map<number, DescMessage>();
  for (const { number, message } of schema.fields) if (message) messages.set(number, message);
  MESSAGES.set(schema, messages);
  return messages;
}

const MESSAGES = new WeakMap<DescMessage, ReadonlyMap<number, DescMessage>>();
