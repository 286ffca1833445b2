/**
 * English sentences to try a model on where the user gives none, written for this project: everyday and encyclopedic ones. Words in braces are
 * the ones to mask: common words that the rest of their sentence suggests, more or less.
 */
const SENTENCES = [
  "The river {flows} through the old {town} and then into the {sea}.",
  "She {opened} the window because the room was too {hot}.",
  "Water boils at one hundred {degrees} at sea {level}.",
  "The {band} released its first {album} in the spring of that {year}.",
  "He was {born} in a small village in the {north} of France.",
  "Most birds {build} their nests in {trees}, but some lay their {eggs} on the ground.",
  "The train to the city {leaves} at seven in the {morning}.",
  "After the {war}, many families moved to the {United} States.",
  "The film was {directed} by a young woman and {won} several awards.",
  "They {played} chess every Sunday {until} it was dark.",
  "The {capital} of the country lies on the {southern} bank of the river.",
  "Our neighbours have two {dogs} and a very {old} cat.",
  "The company was {founded} by three brothers and now has a thousand {employees}.",
  "It {rained} all night, so the roads were still {wet} at noon.",
  "The novel {tells} the story of a girl who {lives} alone in a lighthouse.",
  "In the {second} half, the home {team} scored two goals.",
  "The doctor told him to {drink} more water and to get some {sleep}.",
  "The church was {built} in the twelfth {century} and burned down twice.",
  "Light {travels} faster than {sound}, which is why we see lightning first.",
  "My grandmother {used} to bake {bread} for the whole street.",
  "The president {signed} the law after a long {debate} in parliament.",
  "Wheat and {corn} are the main {crops} of the region.",
  "He {forgot} his keys and had to {wait} outside for an hour.",
  "The species is {found} in the forests of South {America}.",
  "She {studied} mathematics at the {university} and later taught there.",
  "The bridge was closed {because} the ice had {damaged} it.",
  "Two of the {ships} were lost in a {storm} near the coast.",
  "Children {under} the age of six may {travel} for free.",
  "The {song} reached number {one} in four countries.",
  "The scientist {discovered} a new {method} to measure the distance of stars.",
  "We {ate} fish and potatoes, and {then} we went for a walk.",
  "The {population} of the island has {grown} since the harbour was opened.",
  "An old {man} sat at the table and {read} the newspaper.",
  "The {road} climbs to the top of the {mountain} in long curves.",
  "The army {crossed} the river at night and {attacked} at dawn.",
  "Plants use the {light} of the sun to make {sugar} from air and water.",
  "The museum {shows} paintings from the {early} nineteenth century.",
  "If you {want} to come with us, you must be {ready} at eight.",
  "The language is {spoken} by about two million {people}.",
  "The king had no {children}, so his {brother} became the next ruler.",
  "Her first {book} was a success, but the {second} one was hardly noticed.",
  "The {engine} of the car makes a strange {noise} when it is cold.",
  "In winter the {days} are short and the {nights} are long.",
  "The committee will {meet} again next {week} to discuss the budget.",
  "The {island} was named {after} the sailor who first saw it.",
  "This soup needs a little more {salt} and a lot more {time}.",
  "The planet {has} two small {moons} and a thin atmosphere.",
  "The {students} asked so many {questions} that the lesson ended late.",
];

/** Whole sentences. */
export const PLAIN_SENTENCES: readonly string[] = SENTENCES.map((text) => text.replaceAll(/[{}]/g, ""));

/** The same with [MASK] for two or three words in each. */
export const MASKED_SENTENCES: readonly string[] = SENTENCES.map((text) =>
  text.replaceAll(/\{\w+\}/g, "[MASK]"),
);
