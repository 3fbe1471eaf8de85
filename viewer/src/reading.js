/** A file cannot be read. The message completes the sentence "name of the file: ...". */
export class ReadError extends Error {
  constructor(reason, url, status) {
    super(reason);
    this.status = status;
    this.file = new URL(url).pathname.split('/').pop();
  }
}

/** Why something could not be read, in words. */
export function reasonOf(error) {
  return error instanceof ReadError ? `${error.file}: ${error.message}` : 'The file is damaged or of an unknown kind';
}

/** Like fetch, but an answer other than the file is an error. */
export async function request(url, options) {
  const response = await fetch(url, options).catch(() => {
    throw new ReadError('the server does not answer', url);
  });
  if (response.ok) return response;
  const { status } = response;
  throw new ReadError(status === 404 ? 'not found' : `the server answered ${status}`, url, status);
}
