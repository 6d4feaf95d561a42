import { type FieldError, fieldInvalid } from '../../api/field-error.ts';
import { defineKind, type Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { object, string, type ValueOf } from '../../api/schema.ts';
import { serviceAccount } from '../../api/user.ts';
import type { Admission } from '../../kube/admission.ts';
import type { Controller } from '../../kube/reconciler.ts';
import { updateStatus } from '../../kube/update-status.ts';
import type { Feature } from '../feature.ts';

const greetingSchema = object(
  { spec: object({ to: string() }, { required: ['to'] }), status: object({ text: string() }) },
  { required: ['spec'] },
);

export interface Greeting extends KubeObject, ValueOf<typeof greetingSchema> {}

export const GreetingKind: Kind<Greeting> = defineKind<Greeting>({
  group: 'toys.example.dev',
  version: 'v1',
  kind: 'Greeting',
  schema: greetingSchema,
});

const politeness: Admission<Greeting> = {
  name: 'politeness',
  kinds: [GreetingKind],
  mutate({ object: { spec } }) {
    spec.to = spec.to.trim();
  },
  validate: ({ object: { spec } }): FieldError[] =>
    spec.to === '' ? [fieldInvalid('spec.to', spec.to, 'somebody must be greeted')] : [],
};

const greeter: Controller<Greeting> = {
  name: 'greeter',
  kind: GreetingKind,
  reconcile: async (greeting, context) =>
    void (await updateStatus(context, greeting, { text: `Hello, ${greeting.spec.to}!` })),
};

/** A whole feature: one kind, one rule for what comes in, one controller. */
export const greetings: Feature = {
  name: 'greetings',
  user: serviceAccount('toys', 'greeter'),
  kinds: [GreetingKind as Kind],
  config: { namespace: 'toys' },
  admission: () => [politeness as Admission],
  controllers: () => [greeter as Controller],
};
