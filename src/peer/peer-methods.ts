import { PeerService } from '../gen/sluice/peer/v1/peer_pb.ts';
import { rpcMethod } from '../transport/grpc/rpc-method.ts';
import { fetchRequestCodec, fetchResponseCodec } from './fetch-messages.ts';
import { coordinateRequestCodec, coordinateResponseCodec } from './group-messages.ts';
import { forwardRequestCodec, forwardResponseCodec } from './forward-messages.ts';
import {
  deleteRecordsRequestCodec,
  deleteRecordsResponseCodec,
  describeRequestCodec,
  describeResponseCodec,
  listOffsetsRequestCodec,
  listOffsetsResponseCodec,
} from './partition-messages.ts';
import { readRequestCodec, readResponseCodec } from './read-messages.ts';

const { method } = PeerService;

/** What nodes can ask each other, in terms of the code's own data. @see proto/sluice/peer/v1/peer.proto */
export const PEER = {
  replicate: rpcMethod(method.replicate, fetchRequestCodec, fetchResponseCodec),
  forward: rpcMethod(method.forward, forwardRequestCodec, forwardResponseCodec),
  read: rpcMethod(method.read, readRequestCodec, readResponseCodec),
  describePartitions: rpcMethod(method.describePartitions, describeRequestCodec, describeResponseCodec),
  listOffsets: rpcMethod(method.listOffsets, listOffsetsRequestCodec, listOffsetsResponseCodec),
  deleteRecords: rpcMethod(method.deleteRecords, deleteRecordsRequestCodec, deleteRecordsResponseCodec),
  coordinate: rpcMethod(method.coordinate, coordinateRequestCodec, coordinateResponseCodec),
} as const;
