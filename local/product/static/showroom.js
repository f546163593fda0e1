// Keep the showroom's pictures and figures true: fetch them anew every two seconds.
"use strict";

const place = document.querySelector("[data-live]");

if (place) {
  const lanes = () => [...place.querySelectorAll(".lane .scroll")];
  const stops = () => [...place.querySelectorAll("a, [tabindex]")];
  const isAtEnd = (lane) => lane.scrollLeft + lane.clientWidth >= lane.scrollWidth - 2;

  // What is focused or scrolled back stays so; a timeline that shows its end goes on showing it.
  const replace = (html) => {
    const focused = stops().indexOf(document.activeElement);
    const scrolled = lanes().map((lane) => (isAtEnd(lane) ? null : lane.scrollLeft));
    place.innerHTML = html;
    lanes().forEach((lane, number) => { lane.scrollLeft = scrolled[number] ?? lane.scrollWidth; });
    stops()[focused]?.focus({ preventScroll: true });
  };

  const ask = async () => {
    try {
      const answer = await fetch(place.dataset.live, { headers: { Accept: "text/html" } });
      if (answer.ok) replace(await answer.text());
    } catch { /* the next one asks again */ }
  };

  for (const lane of lanes()) lane.scrollLeft = lane.scrollWidth;
  setInterval(ask, 2000);
}
