// Stands in for the parts of Express that docs/receivers.md uses, so that no package is fetched.
const http = require("node:http");

function read(request, limit, next) {
  const parts = [];
  let size = 0;
  request.on("data", (part) => {
    parts.push(part);
    size += part.length;
  });
  request.on("end", () => next(size > limit ? null : Buffer.concat(parts)));
}

function express() {
  const routes = new Map();
  const app = (request, response) => {
    response.sendStatus = (status) => {
      response.statusCode = status;
      response.end();
    };
    const handlers = routes.get(`${request.method} ${request.url}`) ?? [];
    const next = ([first, ...rest]) =>
      first ? first(request, response, () => next(rest)) : response.sendStatus(404);
    next(handlers);
  };
  app.post = (path, ...handlers) => routes.set(`POST ${path}`, handlers);
  app.listen = (port, host) => http.createServer(app).listen(port, host);
  return app;
}

express.raw = ({ type, limit }) => {
  if (limit !== "2mb" || !type()) throw new Error("not in this stand-in");
  return (request, response, next) =>
    read(request, 2 * 1024 * 1024, (body) => {
      if (body === null) return response.sendStatus(413);
      request.body = body.length ? body : undefined; // as Express does without a body
      next();
    });
};

module.exports = express;
