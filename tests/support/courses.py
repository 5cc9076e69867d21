"""Some words of courses in several languages, by the tag that they show."""

COURSES = {
    "ja": "環境変数の設定とは、プログラムの外からその動きを変えるための値を与えることです。",
    "hi": "सेंसर एक उपकरण है जो अपने आसपास की दुनिया को मापता है और API को संख्या भेजता है।",
    "ar": "المستشعر جهاز يقيس ما يحدث حوله ويرسل القيم إلى الخادم عبر الشبكة كل دقيقة.",
    "bn": "সেন্সর একটি যন্ত্র যা তার চারপাশের জগৎ মাপে এবং প্রতি মিনিটে সংখ্যা পাঠায়।",
    "und": "El sensor es un dispositivo que mide lo que ocurre a su alrededor y envía los valores. " * 4,
    "zh": "传感器是测量周围世界的设备，它每分钟把数值发送到服务器，API 再保存它们。",
    "en": "A sensor is a part of the device that measures what is around it, and sends it to you. " * 3,
}
