// Feedback forms: loads the form into the page of a study, shows fields of a point where they are wanted, and takes a
// point that the image viewer offers: document.dispatchEvent(new CustomEvent("vigil:point",
// { detail: { sop_instance_uid, frame, column, row } })).
"use strict";
(() => {
  const answer = (form) => form.elements.answer.value;
  const wants = (form) => !form.querySelector("[data-where]").hidden && form.querySelector("[data-place]").value === "point";

  // Without this script the fields are simply there, and the service refuses what contradicts itself. What is not there
  // has no place; what is elsewhere has one that is not as shown.
  const show = (form) => {
    const where = form.querySelector("[data-where]");
    const place = form.querySelector("[data-place]");
    const elsewhere = answer(form) === "elsewhere";
    where.hidden = answer(form) === where.dataset.none;
    if (where.hidden) place.value = "unsaid";
    if (elsewhere) place.value = "point";
    for (const option of place.options) option.disabled = elsewhere && option.value !== "point";
    form.querySelector("[data-point]").hidden = !wants(form);
  };
  const dress = () => document.querySelectorAll("form.answer").forEach(show);

  document.addEventListener("change", (event) => {
    const form = event.target.closest("form.answer");
    if (form && event.target.matches("[data-place], [name=answer]")) show(form);
    // A slice that is named by its number is another image than the one that was clicked on.
    if (form && event.target.name === "slice") form.elements.sop_instance_uid.value = "";
  });

  document.addEventListener("vigil:point", (event) => {
    let taken = 0;
    for (const form of [...document.querySelectorAll("form.answer")].filter(wants)) {
      for (const name of ["sop_instance_uid", "frame", "column", "row"]) {
        if (event.detail[name] !== undefined) form.elements[name].value = event.detail[name];
      }
      if (form.elements.slice) form.elements.slice.value = "";
      taken += 1;
    }
    if (taken) window.vigil.toast("The point was taken over into the feedback form.", "good");
  });

  document.addEventListener("vigil:swapped", dress);
  dress();
  const section = document.querySelector("#feedback[data-load]");
  if (section) window.vigil.swap("#feedback", section.dataset.load);
})();
