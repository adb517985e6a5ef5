import { z } from 'zod';
import { oneOf, orOff, structure, text, yesOrNo } from '../kinds.ts';
import { setting } from '../setting.ts';

const ruleSchema = z.strictObject({
  principal: z.string().min(1).max(128),
  topic: z.string().min(1).max(249),
  operations: z.array(z.enum(['publish', 'subscribe', 'admin'])).min(1),
});

/** Who may connect. */
export const authSchema = z.strictObject({
  mode: setting(oneOf(['none', 'required']), {
    description:
      '`none`: everybody may do everything. `required`: a client certificate or a token, and a rule that allows it.',
    default: 'none',
  }),
  allowAnonymous: setting(yesOrNo(), {
    description: 'Listen beyond this machine although `auth.mode` is `none`.',
    default: false,
    flag: 'allow-anonymous',
  }),
  adminToken: setting(orOff(text('32 to 256 characters without spaces', /^\S{32,256}$/)), {
    description:
      'A token that may do everything, to create the first ones with. Best given in the environment.',
    default: 'off',
    secret: true,
  }),
});

/** Who may do what. */
export const aclSchema = z.strictObject({
  rules: setting(structure('a list of { principal, topic, operations }', z.array(ruleSchema)), {
    description:
      'Rules that allow; what no rule allows is denied. `principal` and `topic` may contain `*`; `operations` are publish, subscribe, admin. In the environment: JSON.',
    default: [],
  }),
});
