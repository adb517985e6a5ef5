import { SettlementKind } from '../../gen/sluice/client/v1/groups_pb.ts';
import { MessageService } from '../../gen/sluice/messages/v1/messages_pb.ts';
import { consume } from './consume.ts';
import type { MessageContext } from './message-context.ts';
import { PublishStream, publish } from './publish.ts';
import { ServiceCalls } from './service-calls.ts';
import type { ServiceCallsOptions } from './service-calls.ts';
import { settle } from './settle.ts';

/** The message service. @see proto/sluice/messages/v1/messages.proto */
export function messageService(context: MessageContext, options: ServiceCallsOptions): ServiceCalls {
  const { method } = MessageService;
  const calls = new ServiceCalls(options);
  calls.unary(method.publish, (call, request) => publish(context, call, request));
  calls.clientStream(method.publishStream, (call) => new PublishStream(context, call));
  calls.serverStream(method.consume, (call, request, write, terms) =>
    consume(context, call, request, { write }, terms),
  );
  calls.unary(method.ack, (call, request) => settle(context, call, request, { kind: SettlementKind.ACK }));
  calls.unary(method.nack, (call, request) => {
    const { delayMs, reason } = request;
    return settle(context, call, request, { kind: SettlementKind.NACK, delayMs, reason });
  });
  calls.unary(method.deadLetter, (call, request) =>
    settle(context, call, request, { kind: SettlementKind.REJECT, reason: request.reason }),
  );
  calls.unary(method.extend, (call, request) =>
    settle(context, call, request, { kind: SettlementKind.EXTEND, delayMs: request.leaseMs }),
  );
  calls.unary(method.release, (call, request) =>
    settle(context, call, request, { kind: SettlementKind.RELEASE }),
  );
  return calls;
}
