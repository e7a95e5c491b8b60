"""What people write about themselves that was once read the wrong way round, and its neighbours that must stay right."""

import time

import pytest

from consumers.statements.free_text import read
from consumers.statements.vocabulary import Vocabulary
from tests.unit.profile_cases import item

ENGLISH = [
    "hiking", "football", "chess", "go", "cooking", "golf", "tennis", "sports", "jazz", "opera", "coffee", "yoga", "anime",
    "gardening", "horror", "running", "travel", "tea", "reading",
]  # fmt: skip
CHINESE = [
    "徒步", "足球", "篮球", "国际象棋", "围棋", "美食", "动作片", "咖啡", "茶", "爵士", "歌剧", "摄影", "动漫", "音乐", "旅行",
    "跑步", "猫", "狗", "综艺",
]  # fmt: skip
VOCABULARY = Vocabulary.of([item("1", *ENGLISH), item("2", *CHINESE)])

SELDOM = [
    ("I rarely play chess", ""),
    ("I seldom drink coffee, I love yoga", "+yoga"),
    ("I rarely enjoy opera", "-opera"),
    ("opera rarely excites me", "-opera"),
    ("golf and tennis I rarely play", ""),
    ("I rarely watch football any more", "-football<"),
    ("I rarely miss a football match", "+football"),
    ("I seldom eat out and love cooking", "+cooking"),
    ("我很少徒步", ""),
    ("平时很少喝咖啡，更喜欢音乐", "+音乐"),
    ("我很少喜欢动作片", "-动作片"),
    ("足球和篮球我很少看", ""),
    ("最近很少看足球了", "-足球<"),
    ("很少错过足球", "+足球"),
    ("我很少出门更喜欢音乐", "+音乐"),
    ("足球我几乎不看", "-足球"),
    ("足球我不怎么看", "-足球"),
    ("我不太看足球", "-足球"),
    ("我从不看足球", "-足球"),
    ("我没怎么看过足球", ""),
    ("我不喝咖啡只喝茶", "-咖啡 +茶"),
    ("偶尔徒步", "+徒步"),
]
NO_FEELING = [
    ("opera does nothing for me", "-opera"),
    ("opera doesn't do it for me", "-opera"),
    ("I find golf boring", "-golf"),
    ("I find opera anything but dull", "+opera"),
    ("I don't think golf is fun", ""),
    ("I don't think chess is boring", ""),
    ("I can take or leave golf", ""),
    ("I don't miss football", ""),
    ("I miss football", "+football"),
    ("对动作片没有什么感觉", "-动作片"),
    ("对动作片没感觉", "-动作片"),
    ("对动作片没什么兴趣", "-动作片"),
    ("对动作片提不起兴趣", "-动作片"),
    ("对歌剧兴趣不大，对爵士很有感觉", "-歌剧 +爵士"),
    ("对歌剧不怎么感冒", "-歌剧"),
    ("对足球无所谓", ""),
    ("不觉得足球好玩", ""),
    ("歌剧我欣赏不来", "-歌剧"),
    ("足球我受不了", "-足球"),
    ("我对动作片感兴趣", "+动作片"),
]
EXCEPT = [
    ("everything except chess", "-chess"),
    ("I love all sports but golf", "+sports -golf"),
    ("I enjoy everything but chess, jazz and opera", "-chess -jazz -opera"),
    ("I like all sports but golf is boring", "+sports -golf"),
    ("I work all day but hiking keeps me sane", "+hiking"),
    ("I do all sports but I love golf", "+sports +golf"),
    ("I hate everything but chess", "+chess"),
    ("I don't watch anything except anime", ""),
    ("I don't do sports, except yoga", ""),
    ("I like all sports apart from golf", "+sports"),
    ("Aside from golf I like all sports", "+sports"),
    ("Apart from chess I also like go", "+chess +go"),
    ("everybody but me likes football", ""),
    ("除了国际象棋都喜欢", ""),
    ("除了国际象棋以外都喜欢", ""),
    ("除国际象棋外都喜欢", ""),
    ("除徒步外，我还喜欢摄影", "+徒步 +摄影"),
    ("足球除外，都喜欢", ""),
    ("除了足球还喜欢篮球", "+篮球"),
]
GAVE_UP = [
    ("I stopped hating jazz", ""),
    ("I quit disliking opera", ""),
    ("I stopped liking jazz", "-jazz<"),
    ("I stopped being into anime", "-anime<"),
    ("I never stopped loving jazz", "+jazz"),
    ("I can't stop watching anime", "+anime"),
    ("please don't stop showing me football", "+football"),
    ("I haven't given up chess", "+chess"),
    ("I quit my job for cooking", "+cooking"),
    ("I gave up football for chess", "-football< +chess"),
    ("I gave up golf to focus on hiking", "-golf< +hiking"),
    ("I quit golf and started hiking", "-golf< +hiking"),
    ("I switched from football to tennis", "-football< +tennis"),
    ("I gave up golf for good", "-golf<"),
    ("I stopped going to opera", "-opera<"),
    ("I quit listening to jazz", "-jazz<"),
    ("I quit football and have no time for golf", "-football<"),
    ("I'm losing interest in golf", "-golf<"),
    ("不再讨厌爵士", ""),
    ("停止关注足球", "-足球<"),
    ("从未停止热爱爵士", "+爵士"),
    ("从未放弃徒步", "+徒步"),
    ("放弃了足球改打篮球", "-足球< +篮球"),
    ("放弃了工作去摄影", "+摄影"),
    ("戒了咖啡改喝茶", "-咖啡< +茶"),
    ("放弃了足球和篮球", "-足球< -篮球<"),
    ("I swapped running for yoga", "-running< +yoga"),
    ("I gave up running for yoga", "-running< +yoga"),
    ("I quit cooking for chess", "-cooking< +chess"),
    ("I gave up hiking for golf", "-hiking< +golf"),
    ("I stopped looking for golf", "-golf<"),
    ("I quit training for tennis", "-tennis<"),
    ("I quit my job to travel", ""),
    ("I quit my job to go hiking", ""),
    ("I dropped out to travel", ""),
    ("I gave up my career to play chess", ""),
    ("I gave up trying to play chess", "-chess<"),
    ("I stopped watching football to play tennis", "-football<"),
    ("I gave up football and now play tennis", "-football< +tennis"),
    ("I gave up football and now chess", "-football< -chess<"),
    ("When I'm tired of work I go hiking", ""),
    ("fed up with work so I travel", ""),
    ("I switched to tea from coffee", "+tea"),
    ("show me less football and more tennis", "-football +tennis"),
    ("less football and no more golf", "-football -golf"),
    ("I hated jazz until I tried opera", "-jazz"),
    ("I went from hating opera to loving it", ""),
    ("I went from hating golf to loving tennis", "-golf +tennis"),
    ("我放弃了高薪去旅行", ""),
    ("我放弃了大城市去徒步", ""),
    ("我戒了烟去跑步", ""),
    ("我放弃了去旅行", "-旅行<"),
    ("我放弃了周末去徒步", "-徒步<"),
    ("好久没打篮球了，好想打", ""),
    ("好久没打篮球了", "-篮球<"),
    ("好久没打篮球了，不想打", "-篮球<"),
]
STILL = [
    ("从小时候就喜欢动漫", "+动漫"),
    ("从以前就喜欢足球", "+足球"),
    ("我以前就喜欢足球，现在更喜欢", "+足球"),
    ("小时候喜欢动漫，现在也喜欢", "+动漫"),
    ("小时候喜欢动漫", "-动漫<"),
    ("以前喜欢足球，现在更喜欢徒步", "-足球< +徒步"),
    ("以前就爱足球，现在腻了", "-足球<"),
    ("从以前的喜欢足球到现在喜欢篮球", "-足球< +篮球"),
]
DOUBLY_NEGATED = [
    ("I can't get enough of jazz", "+jazz"),
    ("I can't live without coffee", "+coffee"),
    ("I never get tired of chess", "+chess"),
    ("never missed an episode of anime", "+anime"),
    ("who doesn't love jazz", "+jazz"),
    ("I am someone who doesn't love jazz", "-jazz"),
    ("not only chess but also go", "+chess +go"),
    ("I don't only like chess", "+chess"),
    ("I can't help loving jazz", "+jazz"),
    ("I can't believe how boring golf is", ""),
    ("I'm not ashamed to love anime", "+anime"),
    ("I never thought I'd enjoy gardening", ""),
    ("not a day without chess", ""),
    ("I can't cook without jazz", ""),
    ("a feed without football", "-football"),
    ("I can do without football", "-football"),
    ("I never say no to coffee", "+coffee"),
    ("离不开咖啡", "+咖啡"),
    ("戒不掉咖啡", "+咖啡"),
    ("拒绝不了咖啡和茶", "+咖啡 +茶"),
    ("受不了咖啡", "-咖啡"),
    ("没有咖啡不行", ""),
    ("没有音乐我活不下去", "+音乐"),
    ("没有不喜欢爵士", ""),
    ("谁不喜欢美食", "+美食"),
    ("我是个不喜欢美食的人", "-美食"),
    ("不得不说很喜欢爵士", "+爵士"),
    ("忍不住喜欢爵士", "+爵士"),
    ("没想到会喜欢歌剧", "+歌剧"),
    ("没想到足球这么无聊", "-足球"),
    ("无比喜欢爵士", "+爵士"),
    ("毫无疑问最爱徒步", "+徒步"),
    ("不仅喜欢徒步还喜欢摄影", "+徒步 +摄影"),
    ("比以前更喜欢徒步", "+徒步"),
    ("I don't enjoy anything more than hiking", ""),
    ("There isn't anything I love more than hiking", ""),
    ("I get bored without chess", ""),
    ("I feel bored when there is no football", ""),
    ("I'm happy when there is no football", "-football"),
    ("不喝咖啡就没精神", "+咖啡"),
    ("一天不跑步就浑身不舒服", "+跑步"),
    ("不喝咖啡就没事", "-咖啡"),
    ("很难不爱猫", "+猫"),
    ("没办法不爱足球", "+足球"),
    ("没办法喜欢足球", "-足球"),
    ("谁能拒绝猫", "+猫"),
    ("怎么能没有咖啡", "+咖啡"),
    ("不喜欢足球才怪", ""),
    ("没有我不爱吃的美食", ""),
    ("我并非讨厌足球", ""),
    ("我并非足球迷", "-足球"),
    ("我并非只喜欢足球", "+足球"),
    ("我想少看综艺", ""),
    ("我怕狗", ""),
    ("我害怕狗", ""),
    ("我怕错过足球", "+足球"),
]
NOT_ONES_OWN = [
    ("my wife loves opera", ""),
    ("my ex loves opera, I love jazz", "+jazz"),
    ("the kids love anime", ""),
    ("our son plays chess", ""),
    ("our kids and I love hiking", "+hiking"),
    ("our family loves hiking", "+hiking"),
    ("no one loves chess more than me", ""),
    ("my wife and I love opera", "+opera"),
    ("I wish I liked opera", ""),
    ("I pretend to like opera", ""),
    ("I prefer chess to golf", "+chess"),
    ("I prefer going to opera", "+opera"),
    ("I prefer listening to jazz", "+jazz"),
    ("I prefer dancing to jazz", "+jazz"),
    ("I prefer hiking to football", "+hiking"),
    ("I prefer gardening to golf", "+gardening"),
    ("I prefer reading to watching football", "+reading"),
    ("Not everyone likes opera but I do", ""),
    ("I'd rather watch chess than football", "+chess"),
    ("我老婆喜欢歌剧", ""),
    ("老婆喜欢歌剧，我喜欢足球", "+足球"),
    ("很多人喜欢足球", ""),
    ("大家好，我喜欢徒步", "+徒步"),
    ("朋友推荐的动漫都好看", "+动漫"),
    ("喜欢足球吗", ""),
    ("喜不喜欢足球", ""),
    ("能不能多推点摄影", "+摄影"),
    ("假装喜欢歌剧", ""),
    ("比起足球我更喜欢篮球", "+篮球"),
]
CASES = SELDOM + NO_FEELING + EXCEPT + GAVE_UP + STILL + DOUBLY_NEGATED + NOT_ONES_OWN
"""Text, and its tags: + liked, - not, < the opposite held before."""


@pytest.mark.parametrize(("text", "tags"), CASES)
def test_nothing_is_read_the_wrong_way_round(text: str, tags: str) -> None:
    said = {
        ("+" if mention.sign > 0 else "-") + mention.tags[0] + ("<" if mention.before else "")
        for mention in read(text, VOCABULARY).mentions
    }
    assert said == set(tags.split())


def test_what_is_seldom_done_or_taken_out_is_not_told_to_the_encoder() -> None:
    assert read("I rarely watch football. I love jazz", VOCABULARY).without_denials == "i love jazz"
    assert read("I love all sports but golf", VOCABULARY).without_denials == "i love all sports"


@pytest.mark.parametrize(
    "text",
    [
        "golf " * 400 + "我不x" * 600, "golf " * 400 + "hate x " * 280, "quit golf and " * 300, "all sports but golf, " * 200,
        "不看足球" * 1000, "除足球外" * 1000, "not without golf " * 250, "prefer golf " * 400, "没有没有什么" * 700,
        "hate quit to for " * 240, "don't anything x " * 240, "放弃了去x去" * 660, "小时候现在也" * 660, "好久没看" * 1000,
    ],
)  # fmt: skip
def test_no_turn_of_words_takes_long(text: str) -> None:
    started = time.process_time()
    read(text, VOCABULARY)
    assert time.process_time() - started < 1.0
