"""Words of courses in several languages, and two whole courses that are made of a few sentences."""

from typing import Any, NamedTuple

from tests.support.factories import bundle_of, concept_ids, concepts_of

COURSES = {
    "ja": "環境変数の設定とは、プログラムの外からその動きを変えるための値を与えることです。",
    "hi": "सेंसर एक उपकरण है जो अपने आसपास की दुनिया को मापता है और API को संख्या भेजता है।",
    "ar": "المستشعر جهاز يقيس ما يحدث حوله ويرسل القيم إلى الخادم عبر الشبكة كل دقيقة.",
    "bn": "সেন্সর একটি যন্ত্র যা তার চারপাশের জগৎ মাপে এবং প্রতি মিনিটে সংখ্যা পাঠায়।",
    "und": "El sensor es un dispositivo que mide lo que ocurre a su alrededor y envía los valores. " * 4,
    "zh": "传感器是测量周围世界的设备，它每分钟把数值发送到服务器，API 再保存它们。",
    "en": "A sensor is a part of the device that measures what is around it, and sends it to you. " * 3,
}
"""Some words, by the tag that they show."""


class Words(NamedTuple):
    """The texts of a course. A question has its right option first."""

    names: tuple[str, ...]
    sections: tuple[str, ...]
    sentences: tuple[str, ...]
    questions: tuple[tuple[str, ...], ...]
    space: str


WORDS = {
    "ja": Words(
        ("土の観察", "水やりの計画", "種まきの時期", "苗の植え替え", "虫の見分け方", "収穫と保存"),
        ("はじめに", "手順", "よくある失敗", "まとめ"),
        (
            "畑の土は毎朝見ておくと、乾き方の違いがよく分かります。",
            "指を第一関節まで差し込み、湿り気を確かめてください。",
            "曇りの日は水を控えめにし、根が空気を吸えるようにします。",
            "種の袋には時期が書かれていますが、土地の気温も調べましょう。",
            "ポットの底から白い根が見えたら、植え替えの合図です。",
            "葉の裏側を見ると、小さな虫の卵が並んでいることがあります。",
            "記録は短い文で十分なので、日付と天気を必ず残します。",
            "収穫した豆は、風通しのよい日陰で二週間ほど乾かします。",
        ),
        (
            ("土の湿り気はどのように確かめますか。", "指で触れる", "音を聞く", "色を塗る"),
            ("植え替えの合図になるものはどれですか。", "底から見える根", "落ちた花びら", "朝の霜"),
            ("豆を乾かす場所として適しているのはどこですか。", "風の通る日陰", "冷凍庫の中", "水の中"),
        ),
        "",
    ),
    "es": Words(
        ("La masa madre", "El amasado", "La fermentación", "El horno", "La corteza", "La conservación"),
        ("Para empezar", "Los pasos", "Errores frecuentes", "Resumen"),
        (
            "La harina absorbe más agua de la que parece, así que conviene esperar antes de añadir otra.",
            "Cuando la masa deja de pegarse a las manos, el amasado ha terminado y se cubre con un paño.",
            "En una cocina fría, la fermentación tarda el doble, y no pasa nada por dejarla toda la noche.",
            "El horno debe estar muy caliente desde el principio para que el pan suba antes de la corteza.",
            "Con un corte en la superficie, el vapor sale por donde queremos y no por los lados.",
            "Es mejor pesar los ingredientes que medirlos con una taza, porque la harina se comprime.",
            "Si el interior queda húmedo, se hornea diez minutos más y se deja enfriar sobre una rejilla.",
            "El pan se guarda en una bolsa de tela, y lo que sobra se congela en rebanadas.",
        ),
        (
            ("¿Cuándo ha terminado el amasado?", "Si ya no se pega", "Tras un minuto", "Al oler a vino"),
            ("¿Para qué sirve el corte?", "Guía el vapor", "Añade sabor", "Enfría la miga"),
            ("¿Dónde se guarda el pan?", "En una bolsa de tela", "En el horno", "En un vaso"),
        ),
        " ",
    ),
}


def curriculum(language: str) -> dict[str, Any]:
    """A bundle without a requested language: right lessons, made of the sentences in turn."""
    words = WORDS[language]
    bundle = bundle_of(concept_ids(len(words.names)))
    for concept, name in zip(concepts_of(bundle["roadmap"]["framework_data"]), words.names, strict=True):
        concept |= {"name": name, "description": words.sentences[0], "keywords": [name]}
    for number, (name, content) in enumerate(zip(words.names, bundle["content"], strict=True)):
        parts = [f"# {name}"]
        for place, section in enumerate(words.sections):
            begin = (number + 2 * place) % len(words.sentences)
            turned = words.sentences[begin:] + words.sentences[:begin]
            parts += [f"## {section}", words.space.join(turned[:4]), words.space.join(turned[4:6])]
        content["tutorial"] |= {
            "title": name,
            "summary": words.sentences[number],
            "markdown": "\n\n".join(parts),
        }
        questions = [
            {
                "question_id": f"q-{place}",
                "question_type": "single_choice",
                "question": question,
                "options": [*options[place:], *options[:place]],
                "correct_answer": [(-place) % len(options)],
                "explanation": words.sentences[(number + place) % len(words.sentences)],
                "difficulty": "easy",
            }
            for place, (question, *options) in enumerate(words.questions)
        ]
        content["quiz"] |= {"questions": questions, "total_questions": len(questions)}
        content["resources"]["resources"] = [
            {
                "title": f"{name} {place}",
                "url": f"https://garden.org/{number}/{place}",
                "type": "article",
                "description": words.sentences[place],
                "relevance_score": 0.9,
            }
            for place in range(3)
        ]
    return bundle
