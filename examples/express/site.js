/** The Express product with a home page and a sign-in that asks for nothing: npm start */

import { fileURLToPath } from "node:url";

import { app } from "./product.js";

const PORT = Number(process.env.EXAMPLE_PORT ?? 8004);

app.get("/", (_, response) => response.sendFile(fileURLToPath(new URL("../sites/home.html", import.meta.url))));

app.post("/sign-in/:user", (request, response) => {
  request.session.user = request.params.user;
  response.redirect(303, "/");
});

app.listen(PORT, "127.0.0.1", () => console.log(`http://127.0.0.1:${PORT}`));
