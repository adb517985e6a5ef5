import type { StartSchema } from '../../gen/sluice/client/v1/subscription_pb.ts';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { parsePlace } from './place.ts';

/** A place of a request as the protocol says it. @throws INVALID_ARGUMENT */
export function placeToWire(text: string): MessageInitShape<typeof StartSchema> {
  const place = parsePlace(text);
  switch (place.at) {
    case 'earliest':
      return { at: { case: 'earliest', value: true } };
    case 'latest':
      return { at: { case: 'latest', value: true } };
    case 'offset':
      return { at: { case: 'offset', value: BigInt(place.offset) } };
    case 'timestamp':
      return { at: { case: 'timestampMs', value: BigInt(place.timestampMs) } };
  }
}
