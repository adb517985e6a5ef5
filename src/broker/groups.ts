import { SluiceError } from '../kernel/errors.ts';
import type { AskOptions, GroupAnswer, GroupCase, GroupQuestionInit } from '../groups/api.ts';
import type { Principal } from './ports.ts';

/** Consumer groups and queues: who may, and which node coordinates them. */
export class Groups {
  /**
   * Asks the coordinator, here or on another node.
   * @param name of the question; the answer has the same
   * @throws FORBIDDEN and what the coordinator answers
   */
  ask<C extends GroupCase>(
    _principal: Principal,
    name: C,
    _question: GroupQuestionInit<C>,
    _options: AskOptions = {},
  ): Promise<GroupAnswer<C>> {
    return Promise.reject(new SluiceError('UNSUPPORTED', `${name} is not offered yet`));
  }
}
