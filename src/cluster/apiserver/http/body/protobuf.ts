import { ApiError } from '../../../../api/status.ts';

export const protobufType = 'application/vnd.kubernetes.protobuf';

export function decodeProtobuf(_body: Buffer): unknown {
  throw new ApiError(415, 'UnsupportedMediaType', 'protobuf bodies are not supported yet: send application/json');
}
