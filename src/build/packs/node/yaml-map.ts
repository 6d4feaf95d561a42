import { messageOf } from '../../../lib/errors.ts';
import { isJsonObject } from '../../../lib/json-object.ts';
import { parseYaml } from '../../../lib/yaml.ts';
import { BuildFailure } from '../../failure.ts';

const charsMax = 1024 * 1024;

/** The map that a file of the source is, as YAML; `example` is for whoever wrote something else. */
export function yamlMap(text: string, file: string, example: string): Record<string, unknown> {
  if (text.length > charsMax) {
    throw new BuildFailure('SourceTooLarge', `${file} has ${text.length} characters, at most ${charsMax}`);
  }
  let value: unknown;
  try {
    value = parseYaml(text, file)[0]?.value ?? {};
  } catch (error) {
    throw new BuildFailure('SourceInvalid', messageOf(error), { cause: error });
  }
  if (isJsonObject(value)) return value;
  throw new BuildFailure('SourceInvalid', `${file} is ${JSON.stringify(value)}: it must be a map, as in '${example}'`);
}
