"""The prose in English."""

from .prose import Prose, QuestionProse, Site

ENGLISH = Prose(
    language="en",
    separator=", ",
    untitled="Untitled concept",
    tutorial="""\
# {name}

> This tutorial was put together from the roadmap's outline, without a language model.
> What it says about the subject is what the outline says; the rest shows you how to work it out yourself.

## Introduction

{introduction}

{place}
{level}

## What you will learn

When you are through, you will be able to

- say in your own words what {name} is and what it is for,
{goals}- take one small example from a question to an answer, and judge that answer yourself,
- name what you do not know yet, and where you would look for it.

## Before you start

{prerequisites}

Plan about {minutes} minutes: {reading} for reading and notes, {working} for the exercise, and {checking} for
checking what you remember. Keep one page of notes open all the time; every section below adds to it.

## Working through the concept

{sections}

## A worked exercise

This is one pass through the concept, from a question to an answer that you can check.

1. **Ask.** Write down one question about “{first}” that you cannot answer yet. “What is it?” is too wide;
   “What would I notice if it were missing?” is about right.
2. **Predict.** Answer it before you look anything up, and give a reason. A guess with a reason can be
   corrected; a blank cannot.
3. **Look.** Find one source that deals with exactly this question. Note where the answer stands, not only
   what it says.
4. **Do.** Make the smallest thing that shows the answer: a few lines, a sketch, a measurement, an example
   worked by hand. If it takes longer than ten minutes, make it smaller.
5. **Compare.** Put the prediction and the result side by side, and write one sentence about the difference.

Filled in, the note looks like this. What stands in brackets is for you to replace:

> **Question:** What would be different without “{first}”?
>
> **Prediction:** I expect that [this changes], because [reason].
>
> **Source:** [title, chapter or section].
>
> **Result:** When I tried it, [this happened].
>
> **Difference:** My prediction was [right or wrong] about [this point], since [reason].

Then do it once more, for “{last}”, without looking at the steps.

## Common mistakes

- **Collecting instead of explaining.** A page of copied sentences feels like progress. If you cannot say
  it without the page, it is not yours yet.
- **Skipping the prediction.** Whatever you read will seem obvious afterwards. Only a prediction on paper
  shows you what you did not know.
- **Learning the words one at a time.** If your notes never mention two of your terms in one sentence, the
  connection between them is still missing.
- **Trusting the first source.** Look for a second one. Where the two disagree is the most useful place to
  read on.

## Summary

You have worked on {name} along the words of its outline: {topics}.
Now close everything and answer from memory: What is it? What is it for? How do its parts depend on each
other? What would you try next? What you could not answer is the list that you begin with tomorrow.
""",
    described="""\
The outline describes **{name}** like this:

> {description}

Read it twice: once for the whole, and once marking every word that you could not explain to somebody else.
The marked words are your questions for what follows.""",
    undescribed="""\
The outline names **{name}**, and does not describe it. So the first step is yours: write down in two
sentences what you expect it to be about, and what you would want to use it for. You will come back to these
sentences at the end, and it is no fault if they turn out to be wrong.""",
    placed="You find it in the roadmap under *{place}*.",
    unplaced="The outline does not say where in the roadmap it stands.",
    levels={
        "easy": (
            "easy",
            "It is rated {level}: one pass should do. Be strict all the same; easy is often only familiar.",
        ),
        "medium": (
            "medium",
            "It is rated {level}: expect one or two places where you must try something before you read on.",
        ),
        "hard": (
            "hard",
            "It is rated {level}: plan two passes, one to mark what is not clear, one to work on the marks.",
        ),
    },
    unrated=(
        "not rated",
        "Its difficulty: {level}. Where you have to guess in more than two sections, slow down.",
    ),
    goal="- explain what “{topic}” has to do with it,\n",
    prepared="""\
The outline asks for these first:

{prerequisites}

Say one sentence about each of them, aloud, before you go on. Where no sentence comes, go back there first:
the time is not lost.""",
    unprepared="""\
The outline asks for nothing beforehand, so you can begin right away. Note in one line what you know about the
subject already; it is easier to add to something than to begin with nothing.""",
    sections=(
        """\
### {topic}: in your own words

Begin with what the words say to you. Write one sentence on what “{topic}” means, as you would tell it to a
colleague who has never heard of it. Then look it up, and correct your sentence without erasing the first
version: the distance between the two is what you have learned here. Where your source uses another word for
the same thing, note that word too; you will meet it again.""",
        """\
### {topic}: one example

Look for one concrete case of “{topic}”: something that you could point at, run, draw or measure. Describe it
in three lines: what is given, what happens, what comes out. Then ask what in this case would have to change
so that it is no example any more. If you find no case at all, say so in your notes. It usually means that the
term is still too wide for you, and that a smaller part of it is the better start.""",
        """\
### {topic}: how it fits in

Put the name of the concept in the middle of a page, and “{topic}” beside it. Draw an arrow between them, and
write on it what one does for the other: needs, produces, limits, replaces. An arrow without a verb does not
count. Add the other terms of this tutorial in the same way. A term that stays without an arrow is the one to
read about next.""",
        """\
### {topic}: where it ends

You know a thing well when you know what it is not. Name something that is easily confused with “{topic}”,
and write down the one property that tells the two apart. Then look for its limit: a size, a situation or a
wish for which it is the wrong means. Both answers belong in your notes, together with the
place where you found them.""",
        """\
### {topic}: change one thing

Take an example of “{topic}” that works, and change one single thing in it. Before you look at the result, say
what you expect. Change it back, and change another one. Three such changes teach more than three more pages,
because each of them can prove you wrong. Record them as a list of pairs: what I changed, what it did.""",
        """\
### {topic}: explain it to somebody

Explain “{topic}” to somebody who is not learning this, in two minutes and without notes; an empty chair will
do. Pay attention to where you begin to say “somehow” or “and so on”: there is the gap. Go back to that one
point, close it, and explain the whole once more.""",
    ),
    summary="A guided way through {name}: what it is, how its parts fit together, and one exercise.",
    sites=(
        Site(
            "article",
            "Wikipedia: {query}",
            "https://en.wikipedia.org/w/index.php?search={query}",
            "Encyclopaedia articles on {name}: definitions, and the words to search on with.",
            focused=False,
        ),
        Site(
            "documentation",
            "MDN Web Docs: {query}",
            "https://developer.mozilla.org/en-US/search?q={query}",
            "Reference pages and guides that mention {name}.",
            focused=False,
        ),
        Site(
            "video",
            "YouTube: {query}",
            "https://www.youtube.com/results?search_query={query}",
            "Talks and demonstrations on {name}, to see somebody else do it.",
            focused=True,
        ),
        Site(
            "tool",
            "GitHub: {query}",
            "https://github.com/search?type=repositories&q={query}",
            "Projects around {name}, to read and to try out.",
            focused=False,
        ),
        Site(
            "article",
            "Google Scholar: {query}",
            "https://scholar.google.com/scholar?q={query}",
            "Papers on {name}, for a second and more thorough look.",
            focused=True,
        ),
    ),
    place=QuestionProse(
        "Where in the roadmap does the outline place “{name}”?",
        "Nowhere: the outline does not say",
        ("Glossary", "Final examination", "Further reading", "Answers to the exercises"),
    ),
    keywords=QuestionProse(
        "Which of these does the outline list as keywords of “{name}”? Choose all that apply.",
        "None: the outline lists no keywords",
        ("course fee", "timetable", "certificate", "seating plan"),
    ),
    prerequisite=QuestionProse(
        "Which of these does the outline name as a prerequisite of “{name}”?",
        "None: it can be begun right away",
        ("The final examination", "A certificate from another course", "A university degree"),
    ),
    effort="Which difficulty and how much study time does the outline give for “{name}”?",
    level_and_time="{level}, {time}",
    time="{hours:g} h",
    untimed="no usable study time",
    quotes_description="True or false? The outline says of “{name}”: “{excerpt}”",
    has_description="True or false? The outline describes in at least one sentence what “{name}” is about.",
    lacks_description="True or false? The outline gives “{name}” a name, but no description.",
    truth=("True", "False"),
    explanation="What the outline says of “{name}” here: {right}",
    nothing="nothing; there is no description",
)
