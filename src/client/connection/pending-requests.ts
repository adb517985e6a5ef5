import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Response } from '../../gen/sluice/client/v1/control_pb.ts';
import { ErrorSchema, RequestSchema, ResponseSchema } from '../../gen/sluice/client/v1/control_pb.ts';
import { errorCodeFromWire, SluiceError } from '../../kernel/errors.ts';
import { decodeControl, encodeControl } from '../../wire/control.ts';
import { FRAME } from '../../wire/frame.ts';

type RequestInit = Exclude<
  Exclude<MessageInitShape<typeof RequestSchema>['body'], undefined>,
  { case?: undefined }
>;

/** Names of the requests. */
export type RequestName = RequestInit['case'];
/** What a request of that name carries. */
export type RequestBody<Name extends RequestName> = Extract<RequestInit, { case: Name }>['value'];
/** What its answer carries. */
export type ResponseBody<Name extends RequestName> = Extract<Response['body'], { case: Name }>['value'];

interface PendingRequest {
  readonly name: RequestName;
  resolve(body: unknown): void;
  reject(error: SluiceError): void;
}

/** Requests of one stream that wait for their answers, by correlation id. */
export class PendingRequests {
  readonly #pending = new Map<number, PendingRequest>();
  #nextId = 1;

  get count(): number {
    return this.#pending.size;
  }

  /** A number that is not used now. */
  takeId(): number {
    const id = this.#nextId;
    this.#nextId = id === 0xffff_ffff ? 1 : id + 1;
    return id;
  }

  /**
   * Asks.
   * @param write sends the whole REQUEST frame
   * @returns the answer @throws what the broker answers as error; what {@link rejectAll} is called with
   */
  add<Name extends RequestName>(
    name: Name,
    body: RequestBody<Name>,
    write: (frame: Buffer) => void,
  ): Promise<ResponseBody<Name>> {
    return new Promise((resolve, reject) => {
      const correlationId = this.takeId();
      const message = { correlationId, body: { case: name, value: body } as RequestInit };
      const frame = encodeControl(FRAME.REQUEST, RequestSchema, message);
      this.#pending.set(correlationId, { name, resolve: resolve, reject });
      write(frame);
    });
  }

  /** A RESPONSE came; one that nobody waits for is nobody's. @throws PROTOCOL_ERROR when it makes no sense */
  onResponse(payload: Buffer): void {
    const { correlationId, body } = decodeControl(ResponseSchema, payload);
    const request = this.#pending.get(correlationId);
    if (request === undefined) return;
    this.#pending.delete(correlationId);
    if (body.case === request.name) request.resolve(body.value);
    else {
      const text = `the broker answered ${request.name} with ${body.case ?? 'nothing'}`;
      request.reject(new SluiceError('PROTOCOL_ERROR', text));
    }
  }

  /** An ERROR came. @returns the error when it is about no request but the whole stream @throws PROTOCOL_ERROR */
  onError(payload: Buffer): SluiceError | undefined {
    const { correlationId, code, message } = decodeControl(ErrorSchema, payload);
    const error = new SluiceError(errorCodeFromWire(code), message);
    if (correlationId === 0) return error;
    const request = this.#pending.get(correlationId);
    this.#pending.delete(correlationId);
    request?.reject(error);
    return undefined;
  }

  /** No answer will come any more. */
  rejectAll(error: SluiceError): void {
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const request of waiting) request.reject(error);
  }
}
